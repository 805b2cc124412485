"""Algorithms: settings, sources and mathematics on shared loops."""

from ._a2c import A2C as A2C
from ._base import AbstractAlgorithm as AbstractAlgorithm
from ._dqn import DQN as DQN
from ._math import gae as gae, polyak as polyak, td_target as td_target
from ._ppo import PPO as PPO
from ._reinforce import REINFORCE as REINFORCE
