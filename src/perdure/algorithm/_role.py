"""Roles: what a policy is to an algorithm, and how a fresh one of that role is made."""

import dataclasses
from collections.abc import Callable

from perdure.policy import (
    AbstractActorCriticPolicy,
    AbstractDeterministicPolicy,
    AbstractPolicy,
    AbstractQPolicy,
    AbstractQuantileQPolicy,
    AbstractSACPolicy,
    ActorCriticPolicy,
    DeterministicPolicy,
    QPolicy,
    QuantileQPolicy,
    SACPolicy,
)


@dataclasses.dataclass(frozen=True)
class PolicyRole:
    """What an algorithm trains. Algorithms of one role train each other's policies."""

    policy_class: type  # a policy has to be of this class
    words: str  # what a message calls it
    new_policy: Callable[..., AbstractPolicy]  # `new_policy(env, body_record, *, key, **settings)`: a fresh one


ACTOR_CRITIC = PolicyRole(AbstractActorCriticPolicy, "an actor-critic policy", ActorCriticPolicy)
Q = PolicyRole(AbstractQPolicy, "a Q policy", QPolicy)
QUANTILE_Q = PolicyRole(AbstractQuantileQPolicy, "a quantile Q policy", QuantileQPolicy)
DETERMINISTIC = PolicyRole(AbstractDeterministicPolicy, "a deterministic policy", DeterministicPolicy)
SOFT = PolicyRole(AbstractSACPolicy, "a soft actor", SACPolicy)
