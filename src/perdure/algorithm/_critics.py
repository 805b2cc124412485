"""Critics beside a policy: several in one module, applied to a batch."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import optax
from jax import random as jr
from jaxtyping import Array, Float, Int, Key, PyTree

from perdure.policy import AbstractDeterministicPolicy, QFunction

from ._math import parameters_of
from ._off_policy import AbstractLearner


def new_critics(policy: Any, count: int, *, num_outputs: int = 1, key: Key[Array, ""]) -> QFunction:
    """`count` critics of the architecture of `policy`, as one module with a leading axis on every array."""

    def new(key: Key[Array, ""]) -> QFunction:
        return QFunction(policy.observation_space, policy.action_space, like=policy, num_outputs=num_outputs, key=key)

    return eqx.filter_vmap(new)(jr.split(key, count))


def values_of(
    critics: QFunction, look: Callable[..., PyTree], action: Float[Array, "batch size"] | None
) -> Float[Array, "critics batch outputs"]:
    """Every critic on every step; `look` is `batch.now` or `batch.after`. No action: the values of all, if Discrete."""
    return eqx.filter_vmap(lambda critic: look(critic, action, fresh=critic.reset()))(critics)


class DeterministicLearner(AbstractLearner):
    """A deterministic policy and its critics, each with a target and an optimiser."""

    policy: AbstractDeterministicPolicy
    critics: QFunction
    policy_target: PyTree
    critics_target: PyTree
    policy_optimizer: PyTree
    critics_optimizer: PyTree
    updates: Int[Array, ""]  # of the critics

    @classmethod
    def start(
        cls,
        policy: AbstractDeterministicPolicy,
        critics: QFunction,
        policy_optimizer: optax.GradientTransformation,
        critics_optimizer: optax.GradientTransformation,
    ) -> "DeterministicLearner":
        """Targets like the networks, nothing learned yet."""
        targets = parameters_of(policy), parameters_of(critics)
        states = policy_optimizer.init(targets[0]), critics_optimizer.init(targets[1])
        return cls(policy, critics, *targets, *states, jnp.zeros((), jnp.int32))
