"""Several observations as one, so that one look shows what moves."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Key

from perdure._core import Action, Observation, register
from perdure.space import Box

from .._base import State, TimeStep
from ._base import AbstractWrapper


@register(name="env.FrameStackState")
class FrameStackState(NamedTuple):
    env_state: State
    frames: Array  # the stacked observation


@register(name="env.FrameStack")
@final
class FrameStack(AbstractWrapper):
    """Shows the last `num_frames` observations side by side on the last axis, the newest last: `(height, width, channels)`
    becomes `(height, width, num_frames * channels)`, as the convolutions of a policy take it.

    An episode begins with its first observation repeated. Source: Mnih et al. 2015, doi:10.1038/nature14236.

    Raises: ValueError for less than two frames, TypeError if `env` does not show a Box with an axis.
    """

    num_frames: int = eqx.field(static=True, default=4)

    def __check_init__(self) -> None:
        if self.num_frames < 2:
            raise ValueError(
                f"FrameStack.num_frames = {self.num_frames}, but a stack has at least two. Leave the wrapper out for one."
            )
        space = self.env.observation_space
        if not isinstance(space, Box) or not space.shape:
            raise TypeError(
                f"FrameStack stacks arrays, but {self.env.name} shows {space}. Use TransformObservation first."
            )

    @property
    def observation_space(self) -> Box:
        one = self.env.observation_space
        assert isinstance(one, Box)
        low, high = (np.concatenate([bound] * self.num_frames, axis=-1) for bound in (one.low, one.high))
        return Box(low, high, dtype=one.dtype)

    def reset(self, *, key: Key[Array, ""]) -> tuple[FrameStackState, Observation]:
        return self._first(*self.env.reset(key=key))

    def restart(self, state: FrameStackState, *, key: Key[Array, ""]) -> tuple[FrameStackState, Observation]:
        return self._first(*self.env.restart(state.env_state, key=key))

    def _first(self, env_state: State, observation: Array) -> tuple[FrameStackState, Array]:
        frames = jnp.concatenate([observation] * self.num_frames, axis=-1)
        return FrameStackState(env_state, frames), frames

    def step(self, state: FrameStackState, action: Action, *, key: Key[Array, ""]) -> TimeStep:
        step = self.env.step(state.env_state, action, key=key)
        rest = state.frames[..., step.observation.shape[-1] :]
        frames = jnp.concatenate([rest, step.observation], axis=-1)
        return step._replace(state=FrameStackState(step.state, frames), observation=frames)

    def action_mask(self, state: FrameStackState) -> Bool[Array, " mask_size"] | None:
        return self.env.action_mask(state.env_state)
