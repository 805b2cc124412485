"""Episodes of a limited length."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key

from perdure._core import Action, Observation, register

from .._base import State, TimeStep
from ._base import AbstractWrapper


@register(name="env.TimeLimitState")
class TimeLimitState(NamedTuple):
    env_state: State
    steps: Int[Array, ""]  # taken in this episode


@register(name="env.TimeLimit")
@final
class TimeLimit(AbstractWrapper):
    """Truncates an episode at its `max_episode_steps`-th step.

    Only `truncated` is set. A step that terminates at the limit carries both flags, as in Gymnasium, and is an end.

    Source: Pardo et al. 2018, "Time Limits in Reinforcement Learning", arXiv:1712.00378.
    """

    max_episode_steps: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.max_episode_steps < 1:
            raise ValueError(
                f"TimeLimit.max_episode_steps = {self.max_episode_steps}, but an episode has at least one step. "
                "Leave the wrapper out for episodes without a limit."
            )

    def reset(self, *, key: Key[Array, ""]) -> tuple[TimeLimitState, Observation]:
        env_state, observation = self.env.reset(key=key)
        return TimeLimitState(env_state, jnp.zeros((), jnp.int32)), observation

    def step(self, state: TimeLimitState, action: Action, *, key: Key[Array, ""]) -> TimeStep:
        step = self.env.step(state.env_state, action, key=key)
        steps = state.steps + 1
        truncated = step.truncated | (steps >= self.max_episode_steps)
        return step._replace(state=TimeLimitState(step.state, steps), truncated=truncated)

    def restart(self, state: TimeLimitState, *, key: Key[Array, ""]) -> tuple[TimeLimitState, Observation]:
        env_state, observation = self.env.restart(state.env_state, key=key)
        return TimeLimitState(env_state, jnp.zeros((), jnp.int32)), observation

    def action_mask(self, state: TimeLimitState) -> Bool[Array, " mask_size"] | None:
        return self.env.action_mask(state.env_state)
