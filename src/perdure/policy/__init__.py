"""Policies: complete, from the raw observation to the action that the environment executes."""

from ._abstract_deterministic import AbstractDeterministicPolicy as AbstractDeterministicPolicy
from ._abstract_q import (
    AbstractQPolicy as AbstractQPolicy,
    AbstractQuantileQPolicy as AbstractQuantileQPolicy,
    epsilon_greedy as epsilon_greedy,
    epsilon_greedy_noise as epsilon_greedy_noise,
)
from ._abstract_stochastic import (
    AbstractActorCriticPolicy as AbstractActorCriticPolicy,
    AbstractSACPolicy as AbstractSACPolicy,
    AbstractStochasticPolicy as AbstractStochasticPolicy,
)
from ._actor_critic import MLPActorCriticPolicy as MLPActorCriticPolicy
from ._base import (
    AbstractPolicy as AbstractPolicy,
    AbstractPolicyState as AbstractPolicyState,
    AbstractStatefulPolicy as AbstractStatefulPolicy,
    AbstractStatelessPolicy as AbstractStatelessPolicy,
    is_stateful as is_stateful,
)
from ._body import (
    Architecture as Architecture,
    Body as Body,
    Convolutions as Convolutions,
    update_normalizer as update_normalizer,
)
from ._deterministic import MLPDeterministicPolicy as MLPDeterministicPolicy
from ._head import ActionHead as ActionHead
from ._observation import Normalizer as Normalizer, features as features
from ._q import MLPQPolicy as MLPQPolicy
from ._q_function import QFunction as QFunction
from ._sac import MLPSACPolicy as MLPSACPolicy
from ._spaces import HasSpaces as HasSpaces, check_same_spaces as check_same_spaces
