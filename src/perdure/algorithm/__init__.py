"""Algorithms: settings, sources and mathematics on shared loops.

What an algorithm of your own needs is here as well: the two bases, what their losses and updates are given, roles, rules of
settings, and the arithmetic that ours share.
"""

from perdure._core import (
    AbstractRule as AbstractRule,
    Finite as Finite,
    NameRule as NameRule,
    NonNegative as NonNegative,
    NonNegativeInt as NonNegativeInt,
    NumberRule as NumberRule,
    Positive as Positive,
    PositiveInt as PositiveInt,
    UnitInterval as UnitInterval,
)

from ._a2c import A2C as A2C
from ._base import AbstractAlgorithm as AbstractAlgorithm
from ._buffer import Buffer as Buffer
from ._carry_over import CarriedOver as CarriedOver, carry_over as carry_over
from ._catalogue import (
    load_installed_algorithms as load_installed_algorithms,
    name_of_algorithm as name_of_algorithm,
    registered_algorithms as registered_algorithms,
)
from ._critics import (
    Critics as Critics,
    DeterministicLearner as DeterministicLearner,
    new_critics as new_critics,
    values_of as values_of,
)
from ._ddpg import DDPG as DDPG
from ._discrete_sac import DiscreteSAC as DiscreteSAC
from ._dqn import DQN as DQN
from ._evaluate import Evaluation as Evaluation, RolloutBatch as RolloutBatch
from ._explore import (
    epsilon_greedy_behavior as epsilon_greedy_behavior,
    noisy_behavior as noisy_behavior,
    sampling_behavior as sampling_behavior,
)
from ._math import (
    OptimizerName as OptimizerName,
    descend as descend,
    gae as gae,
    gradient_step as gradient_step,
    new_optimizer as new_optimizer,
    normalize as normalize,
    parameters_of as parameters_of,
    policy_gradient_loss as policy_gradient_loss,
    polyak as polyak,
    quantile_huber as quantile_huber,
    td_target as td_target,
    value_of as value_of,
    with_parameters as with_parameters,
)
from ._names import unknown_setting as unknown_setting
from ._off_policy import AbstractLearner as AbstractLearner, AbstractOffPolicy as AbstractOffPolicy
from ._on_policy import AbstractOnPolicy as AbstractOnPolicy
from ._ppo import PPO as PPO
from ._priorities import Priorities as Priorities
from ._q_learning import AbstractQLearning as AbstractQLearning, QLearner as QLearner
from ._qrdqn import QRDQN as QRDQN
from ._reinforce import REINFORCE as REINFORCE
from ._replay import ReplayBatch as ReplayBatch, n_step as n_step
from ._role import (
    ACTOR_CRITIC as ACTOR_CRITIC,
    DETERMINISTIC as DETERMINISTIC,
    QUANTILE_Q as QUANTILE_Q,
    SOFT as SOFT,
    PolicyRole as PolicyRole,
    Q as Q,
)
from ._rollout import Behavior as Behavior, Rollout as Rollout, Transition as Transition
from ._sac import SAC as SAC
from ._soft import AbstractSoftActorCritic as AbstractSoftActorCritic, SoftLearner as SoftLearner
from ._td3 import TD3 as TD3
from ._tqc import TQC as TQC
from ._training import TrainState as TrainState
