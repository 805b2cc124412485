"""Policies: complete, from the raw observation to the action that the environment executes."""

from ._base import (
    AbstractActorCriticPolicy as AbstractActorCriticPolicy,
    AbstractPolicy as AbstractPolicy,
    AbstractPolicyState as AbstractPolicyState,
    AbstractQPolicy as AbstractQPolicy,
    AbstractStatefulPolicy as AbstractStatefulPolicy,
    AbstractStatelessPolicy as AbstractStatelessPolicy,
    epsilon_greedy as epsilon_greedy,
    epsilon_greedy_noise as epsilon_greedy_noise,
    is_stateful as is_stateful,
)
from ._head import ActionHead as ActionHead
from ._mlp import MLPActorCriticPolicy as MLPActorCriticPolicy, MLPQPolicy as MLPQPolicy
from ._observation import Normalizer as Normalizer, features as features, update_normalizer as update_normalizer
