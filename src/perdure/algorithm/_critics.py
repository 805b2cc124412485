"""Critics beside a policy, applied to a batch."""

from collections.abc import Callable

import jax.numpy as jnp
import optax
from jax import random as jr
from jaxtyping import Array, Float, Int, Key, PyTree

from perdure._core import register
from perdure.policy import AbstractDeterministicPolicy, AbstractPolicy, QFunction
from perdure.space import Box

from ._math import parameters_of
from ._off_policy import AbstractLearner, AbstractOffPolicy

Critics = tuple[QFunction, ...]  # one module for all of them, with a leading axis, would take a tenth longer


def new_critics(policy: AbstractPolicy, count: int, *, num_outputs: int = 1, key: Key[Array, ""]) -> Critics:
    """`count` critics of the architecture of `policy`."""

    def new(key: Key[Array, ""]) -> QFunction:
        return QFunction(policy.observation_space, policy.action_space, like=policy, num_outputs=num_outputs, key=key)

    return tuple(map(new, jr.split(key, count)))


def check_continuous(algorithm: AbstractOffPolicy, policy: AbstractPolicy) -> None:
    """Raises: TypeError for a policy whose actions are not numbers of a Box."""
    if not isinstance(policy.action_space, Box):
        raise TypeError(
            f"policy.action_space is {policy.action_space}, but {type(algorithm).__name__} needs a Box. Use DiscreteSAC, DQN "
            "or PPO."
        )


def values_of(
    critics: Critics, look: Callable[..., PyTree], action: Float[Array, "batch size"] | None
) -> Float[Array, "critics batch outputs"]:
    """Every critic on every step; `look` is `batch.now` or `batch.after`. No action: the values of all, if Discrete."""
    return jnp.stack([look(critic, action, fresh=critic.reset()) for critic in critics])


@register(name="algorithm.DeterministicLearner")
class DeterministicLearner(AbstractLearner):
    """A deterministic policy and its critics, each with a target and an optimiser."""

    policy: AbstractDeterministicPolicy
    critics: Critics
    policy_target: PyTree
    critics_target: PyTree
    policy_optimizer: PyTree
    critics_optimizer: PyTree
    updates: Int[Array, ""]  # of the critics

    @classmethod
    def start(
        cls,
        policy: AbstractDeterministicPolicy,
        critics: Critics,
        policy_optimizer: optax.GradientTransformation,
        critics_optimizer: optax.GradientTransformation,
    ) -> "DeterministicLearner":
        """Targets like the networks, nothing learned yet."""
        targets = parameters_of(policy), parameters_of(critics)
        states = policy_optimizer.init(targets[0]), critics_optimizer.init(targets[1])
        return cls(policy, critics, *targets, *states, jnp.zeros((), jnp.int32))
