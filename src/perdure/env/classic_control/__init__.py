"""The classic control tasks, equal to Gymnasium's. These classes have no time limit; `perdure.env.make` adds it."""

from ._acrobot import Acrobot as Acrobot
from ._cart_pole import CartPole as CartPole
from ._mountain_car import MountainCar as MountainCar, MountainCarContinuous as MountainCarContinuous
from ._pendulum import Pendulum as Pendulum
