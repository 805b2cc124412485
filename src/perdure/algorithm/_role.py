"""Roles: what a policy is to an algorithm, and how a fresh one of that role is made."""

import dataclasses

from perdure.policy import (
    AbstractActorCriticPolicy,
    AbstractDeterministicPolicy,
    AbstractPolicy,
    AbstractQPolicy,
    AbstractQuantileQPolicy,
    AbstractSACPolicy,
)


@dataclasses.dataclass(frozen=True)
class Role:
    """What an algorithm trains. Algorithms of one role train each other's policies."""

    policy_class: type[AbstractPolicy]  # of this class a policy has to be
    words: str  # what a message calls it
    new_policy: str


ACTOR_CRITIC = Role(AbstractActorCriticPolicy, "an actor-critic policy", "ActorCritic")
Q = Role(AbstractQPolicy, "a Q policy", "Q")
QUANTILE_Q = Role(AbstractQuantileQPolicy, "a quantile Q policy", "QuantileQ")
DETERMINISTIC = Role(AbstractDeterministicPolicy, "a deterministic policy", "Deterministic")
SOFT = Role(AbstractSACPolicy, "a soft actor", "SAC")
