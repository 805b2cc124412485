"""Policies: complete, from the raw observation to the action that the environment executes."""

from perdure.graph import GraphFunction as GraphFunction  # may stand for a trunk; here so that files with it load

from . import _history as _history
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
    ActorCriticPolicy as ActorCriticPolicy,
    CNNActorCriticPolicy as CNNActorCriticPolicy,
    LiquidActorCriticPolicy as LiquidActorCriticPolicy,
    MLPActorCriticPolicy as MLPActorCriticPolicy,
    RecurrentActorCriticPolicy as RecurrentActorCriticPolicy,
    StatefulActorCriticPolicy as StatefulActorCriticPolicy,
    StatelessActorCriticPolicy as StatelessActorCriticPolicy,
)
from ._architecture import (
    Architecture as Architecture,
    Convolutions as Convolutions,
    RecurrentCell as RecurrentCell,
)
from ._base import (
    AbstractPolicy as AbstractPolicy,
    AbstractPolicyState as AbstractPolicyState,
    AbstractStatefulPolicy as AbstractStatefulPolicy,
    AbstractStatelessPolicy as AbstractStatelessPolicy,
    is_stateful as is_stateful,
)
from ._body import (
    AbstractBody as AbstractBody,
    Body as Body,
    FeatureNetwork as FeatureNetwork,
    MemoryState as MemoryState,
    TakesStatistics as TakesStatistics,
)
from ._body_policy import update_normalizer as update_normalizer
from ._body_records import (
    BODIES as BODIES,
    AbstractBodyRecord as AbstractBodyRecord,
    Built as Built,
    CNNBody as CNNBody,
    Layers as Layers,
    LiquidBody as LiquidBody,
    MLPBody as MLPBody,
    RecurrentBody as RecurrentBody,
)
from ._deterministic import (
    CNNDeterministicPolicy as CNNDeterministicPolicy,
    DeterministicPolicy as DeterministicPolicy,
    LiquidDeterministicPolicy as LiquidDeterministicPolicy,
    MLPDeterministicPolicy as MLPDeterministicPolicy,
    RecurrentDeterministicPolicy as RecurrentDeterministicPolicy,
    StatefulDeterministicPolicy as StatefulDeterministicPolicy,
    StatelessDeterministicPolicy as StatelessDeterministicPolicy,
)
from ._frozen import Frozen as Frozen, frozen as frozen, thawed as thawed
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
    QPolicy as QPolicy,
    RecurrentQPolicy as RecurrentQPolicy,
    StatefulQPolicy as StatefulQPolicy,
    StatelessQPolicy as StatelessQPolicy,
)
from ._q_function import QFunction as QFunction
from ._quantile_q import (
    CNNQuantileQPolicy as CNNQuantileQPolicy,
    LiquidQuantileQPolicy as LiquidQuantileQPolicy,
    MLPQuantileQPolicy as MLPQuantileQPolicy,
    QuantileQPolicy as QuantileQPolicy,
    RecurrentQuantileQPolicy as RecurrentQuantileQPolicy,
    StatefulQuantileQPolicy as StatefulQuantileQPolicy,
    StatelessQuantileQPolicy as StatelessQuantileQPolicy,
)
from ._sac import (
    CNNSACPolicy as CNNSACPolicy,
    LiquidSACPolicy as LiquidSACPolicy,
    MLPSACPolicy as MLPSACPolicy,
    RecurrentSACPolicy as RecurrentSACPolicy,
    SACPolicy as SACPolicy,
    StatefulSACPolicy as StatefulSACPolicy,
    StatelessSACPolicy as StatelessSACPolicy,
)
from ._separate_bodies import SeparateBodies as SeparateBodies, SeparateStates as SeparateStates
from ._spaces import HasSpaces as HasSpaces, check_same_spaces as check_same_spaces, spaces_of as spaces_of


def __getattr__(name: str) -> object:
    return _history.former(name)
