"""Algorithms: settings, sources and mathematics on shared loops."""

from ._a2c import A2C as A2C
from ._base import AbstractAlgorithm as AbstractAlgorithm
from ._buffer import Buffer as Buffer
from ._ddpg import DDPG as DDPG
from ._discrete_sac import DiscreteSAC as DiscreteSAC
from ._dqn import DQN as DQN
from ._math import gae as gae, polyak as polyak, quantile_huber as quantile_huber, td_target as td_target
from ._off_policy import AbstractOffPolicy as AbstractOffPolicy
from ._on_policy import AbstractOnPolicy as AbstractOnPolicy
from ._ppo import PPO as PPO
from ._priorities import Priorities as Priorities
from ._qrdqn import QRDQN as QRDQN
from ._reinforce import REINFORCE as REINFORCE
from ._replay import n_step as n_step
from ._sac import SAC as SAC
from ._td3 import TD3 as TD3
from ._tqc import TQC as TQC
