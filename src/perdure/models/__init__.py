"""Agents: one object with `train`, `predict`, `evaluate`, `save`, `load`, `export`, the same for every algorithm."""

from ._agent import Agent as Agent
from ._algorithms import (
    A2C as A2C,
    DDPG as DDPG,
    DQN as DQN,
    PPO as PPO,
    QRDQN as QRDQN,
    REINFORCE as REINFORCE,
    SAC as SAC,
    TD3 as TD3,
    TQC as TQC,
    DiscreteSAC as DiscreteSAC,
)
from ._environment import as_env as as_env
from ._liquid import LiquidDDPG as LiquidDDPG, LiquidPPO as LiquidPPO, LiquidSAC as LiquidSAC
from ._new_policy import KINDS as KINDS, ROLES as ROLES, Kind as Kind, new_policy as new_policy
