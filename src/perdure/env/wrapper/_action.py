"""Wrappers that change what an action means."""

from typing import final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from perdure._core import register
from perdure.space import Box

from .._base import AbstractEnv, State, TimeStep
from ._base import AbstractWrapper


def continuous_actions(env: AbstractEnv, wrapper: str) -> Box:
    """The action space of `env`. Raises: TypeError unless it is a Box of floating-point numbers."""
    space = env.action_space
    if not isinstance(space, Box) or space.dtype.kind != "f":
        raise TypeError(f"{wrapper} needs a continuous action space (Box, float), but that of {env.name} is {space}.")
    return space


@register(name="env.ClipAction")
@final
class ClipAction(AbstractWrapper):
    """Takes any action and clips it to the bounds of the environment's."""

    def __check_init__(self) -> None:
        continuous_actions(self.env, "ClipAction")

    @property
    def action_space(self) -> Box:
        return Box(-np.inf, np.inf, continuous_actions(self.env, "ClipAction").shape)

    def step(self, state: State, action: Float[Array, "..."], *, key: Key[Array, ""]) -> TimeStep:
        space = continuous_actions(self.env, "ClipAction")
        return self.env.step(state, jnp.clip(action, space.low, space.high), key=key)


@register(name="env.RescaleAction")
@final
class RescaleAction(AbstractWrapper):
    """Takes actions in `[low, high]` and stretches them to the bounds of the environment's, ends to ends.

    Nothing is clipped: an action beyond `low` or `high` lands beyond the environment's bounds.

    Raises: TypeError if the actions are not continuous, ValueError if they are unbounded or `low` is not below `high`.
    """

    low: float = -1.0
    high: float = 1.0

    def __check_init__(self) -> None:
        space = continuous_actions(self.env, "RescaleAction")
        if not space.is_bounded:
            raise ValueError(
                f"RescaleAction needs finite bounds to stretch to, but the actions of {self.env.name} are {space}."
            )
        if not -np.inf < self.low < self.high < np.inf:
            raise ValueError(
                f"RescaleAction.low = {self.low} is not below RescaleAction.high = {self.high}. "
                "Give two finite numbers, the smaller first."
            )

    @property
    def action_space(self) -> Box:
        return Box(self.low, self.high, continuous_actions(self.env, "RescaleAction").shape)

    def step(self, state: State, action: Float[Array, "..."], *, key: Key[Array, ""]) -> TimeStep:
        space = continuous_actions(self.env, "RescaleAction")
        share = (action - self.low) / (self.high - self.low)
        # Weighted like this, share 0 and 1 give the bounds to the last bit; low + share * (high - low) may overshoot.
        return self.env.step(state, space.low * (1 - share) + space.high * share, key=key)
