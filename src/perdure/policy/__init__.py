"""Policies: complete, from the raw observation to the action that the environment executes."""

from perdure.graph import GraphFunction as GraphFunction  # may stand for a trunk; here so that files with it load

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
    held_noise as held_noise,
)
from ._actor_critic import (
    CNNActorCriticPolicy as CNNActorCriticPolicy,
    LiquidActorCriticPolicy as LiquidActorCriticPolicy,
    MLPActorCriticPolicy as MLPActorCriticPolicy,
    RecurrentActorCriticPolicy as RecurrentActorCriticPolicy,
)
from ._architecture import (
    Architecture as Architecture,
    Convolutions as Convolutions,
    Memory as Memory,
    UnscaledConvolutions as UnscaledConvolutions,
)
from ._base import (
    AbstractPolicy as AbstractPolicy,
    AbstractPolicyState as AbstractPolicyState,
    AbstractStatefulPolicy as AbstractStatefulPolicy,
    AbstractStatelessPolicy as AbstractStatelessPolicy,
    is_stateful as is_stateful,
)
from ._body import Body as Body, MemoryState as MemoryState, update_normalizer as update_normalizer
from ._deterministic import (
    CNNDeterministicPolicy as CNNDeterministicPolicy,
    LiquidDeterministicPolicy as LiquidDeterministicPolicy,
    MLPDeterministicPolicy as MLPDeterministicPolicy,
    RecurrentDeterministicPolicy as RecurrentDeterministicPolicy,
)
from ._head import ActionHead as ActionHead
from ._observation import (
    FixedNormalizer as FixedNormalizer,
    NormalizedImage as NormalizedImage,
    Normalizer as Normalizer,
    features as features,
)
from ._q import (
    CNNQPolicy as CNNQPolicy,
    LiquidQPolicy as LiquidQPolicy,
    MLPQPolicy as MLPQPolicy,
    RecurrentQPolicy as RecurrentQPolicy,
)
from ._q_function import QFunction as QFunction
from ._quantile_q import (
    CNNQuantileQPolicy as CNNQuantileQPolicy,
    LiquidQuantileQPolicy as LiquidQuantileQPolicy,
    MLPQuantileQPolicy as MLPQuantileQPolicy,
    RecurrentQuantileQPolicy as RecurrentQuantileQPolicy,
)
from ._sac import (
    CNNSACPolicy as CNNSACPolicy,
    LiquidSACPolicy as LiquidSACPolicy,
    MLPSACPolicy as MLPSACPolicy,
    RecurrentSACPolicy as RecurrentSACPolicy,
)
from ._spaces import HasSpaces as HasSpaces, check_same_spaces as check_same_spaces, spaces_of as spaces_of
