"""The two spaces a policy is made for, and the Box of actions that tanh is scaled to."""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from perdure.space import AbstractSpace, Box, Discrete


@runtime_checkable
class HasSpaces(Protocol):
    """Anything with an observation space and an action space: an environment, or just a record of the two."""

    @property
    def observation_space(self) -> Any: ...
    @property
    def action_space(self) -> Any: ...


def spaces_of(env: HasSpaces) -> tuple[AbstractSpace, AbstractSpace]:
    """The spaces of `env`, checked to be ours.

    Raises: TypeError naming what was found.
    """
    for name in ("observation_space", "action_space"):
        space = getattr(env, name, None)
        if not isinstance(space, AbstractSpace):
            raise TypeError(
                f"env.{name} is {type(space).__name__}, not a Perdure space. `env` may be anything with observation_space "
                "and action_space; convert Gymnasium's with perdure.space.from_gymnasium."
            )
    return env.observation_space, env.action_space


def check_same_spaces(policy: HasSpaces, env: HasSpaces) -> None:
    """Check that a policy takes what an environment gives and gives what it takes: shapes, dtypes and numbers of choices.

    Bounds may differ.

    Raises: ValueError naming the space, and both values.
    """
    for name in ("observation_space", "action_space"):
        ours, theirs = getattr(policy, name), getattr(env, name)
        if jax.eval_shape(ours.canonical) != jax.eval_shape(theirs.canonical) or ours.flat_size != theirs.flat_size:
            raise ValueError(
                f"policy.{name} is {ours}, but env.{name} is {theirs}. Make the policy with env=env, or wrap the environment."
            )


def check_bounded(space: AbstractSpace, who: str) -> Box:
    """`space`, if it is a Box of floating-point actions with finite bounds.

    Raises: TypeError for another space or a Box of integers, ValueError for a side without a bound.
    """
    if not isinstance(space, Box) or space.dtype.kind != "f":
        raise TypeError(f"action_space is {space}, but {who} needs a Box of floating-point actions.")
    if not space.is_bounded:
        raise ValueError(
            f"action_space is {space}, but {who} scales [-1, 1] to the bounds. Give every side a finite bound."
        )
    return space


def check_discrete(space: AbstractSpace) -> Discrete:
    """`space`, if it is Discrete. Raises: TypeError for another space."""
    if not isinstance(space, Discrete):
        raise TypeError(f"action_space is {space}, but a Q policy needs Discrete actions. Use an actor-critic policy.")
    return space


def rescaled(space: Box, normalized: Float[Array, " size"]) -> Float[Array, "..."]:
    """From [-1, 1] to the bounds of a Box, in its shape."""
    middle, half = space.high / 2 + space.low / 2, space.high / 2 - space.low / 2  # high - low may overflow
    action = middle + half * normalized.reshape(space.shape)
    return jnp.clip(action, space.low, space.high)  # rounding may pass a bound by an ulp
