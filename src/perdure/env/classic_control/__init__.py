"""The classic control tasks, equal to Gymnasium's. These classes have no time limit; `perdure.env.make` adds it."""

from ._cart_pole import CartPole as CartPole
