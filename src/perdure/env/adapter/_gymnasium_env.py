"""The `gymnasium.Env` that `to_gymnasium_env` gives. Imports Gymnasium, so it is imported only there."""

from typing import Any, final

import gymnasium
import jax
import numpy as np
from jax import random as jr
from jaxtyping import Array, Bool, Key

from perdure._core import Action, Observation
from perdure.space import AbstractSpace, Dict, Tuple, to_gymnasium

from .._base import AbstractEnv, State
from ._draw import can_draw, draw


@final
class GymnasiumEnv(gymnasium.Env):
    """One of our environments behind Gymnasium's interface: the state is kept here, the key comes from `np_random`."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012 - as the base class has it

    def __init__(self, env: AbstractEnv, render_mode: str | None = None):
        if render_mode is not None and (render_mode != "rgb_array" or not can_draw(env)):
            raise ValueError(
                f"render_mode={render_mode!r} for {env.name}. Only 'rgb_array' is drawn, and only for the classic control "
                "tasks. Leave it out."
            )
        self.native, self.render_mode = env, render_mode
        self.observation_space = to_gymnasium(env.observation_space)
        self.action_space = to_gymnasium(env.action_space)

        def first(key: Key[Array, ""]) -> tuple[Any, ...]:
            key, key_reset = jr.split(key)
            state, observation = env.reset(key=key_reset)
            return key, state, observation, env.action_mask(state)

        def step(key: Key[Array, ""], state: State, action: Action) -> tuple[Any, ...]:
            key, key_step = jr.split(key)
            result = env.step(state, action, key=key_step)
            return key, result, env.action_mask(result.state)

        self._first, self._step = jax.jit(first), jax.jit(step)
        self._key: Key[Array, ""] | None = None
        self._state: State | None = None

    @property
    def name(self) -> str:
        """What tables and file names call the task."""
        return self.native.name

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None or self._key is None:
            self._key = jr.key(int(self.np_random.integers(2**31)))
        self._key, self._state, observation, mask = self._first(self._key)
        return as_gymnasium(self.native.observation_space, self.observation_space, observation), info_of(mask)

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        if self._state is None:
            raise gymnasium.error.ResetNeeded(f"{self.native.name} was never reset. Call reset() before step().")
        self._key, result, mask = self._step(self._key, self._state, narrowed(self.native.action_space, action))
        self._state = result.state
        observation, reward, terminated, truncated = jax.device_get(result[1:])
        observation = as_gymnasium(self.native.observation_space, self.observation_space, observation)
        return observation, float(reward), bool(terminated), bool(truncated), info_of(mask)

    def render(self) -> np.ndarray | None:
        if self.render_mode is None or self._state is None:
            return None
        return draw(self.native, self._state)


def info_of(mask: Bool[Array, " choices"] | None) -> dict[str, Any]:
    """`info` with the action mask, in the dtype that Gymnasium's spaces take for sampling."""
    return {} if mask is None else {"action_mask": np.asarray(mask, np.int8)}


def as_gymnasium(space: AbstractSpace, theirs: Any, value: Observation) -> Observation:
    """A value of our space as one of Gymnasium's: a fresh numpy array, a numpy integer, or a dict or tuple of them."""
    match space:
        case Dict():
            return {name: as_gymnasium(member, theirs[name], value[name]) for name, member in space.items}
        case Tuple():
            return tuple(as_gymnasium(*member) for member in zip(space.spaces, theirs, value, strict=True))
    array = np.array(value, theirs.dtype)
    return array if array.shape else array[()]


def narrowed(space: AbstractSpace, action: Action) -> Action:
    """An action of Gymnasium's space as one of ours."""
    match space:
        case Dict():
            return {name: narrowed(member, action[name]) for name, member in space.items}
        case Tuple():
            return tuple(narrowed(member, part) for member, part in zip(space.spaces, action, strict=True))
    array = np.asarray(action)
    return array.astype({"float64": np.float32, "int64": np.int32}.get(array.dtype.name, array.dtype))
