"""Environments of brax, and of MuJoCo Playground, which have the same interface (extra `brax`)."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from perdure._core import Action, Observation, import_extra
from perdure.space import AbstractSpace, Box, Dict

from .._base import AbstractEnv, State, TimeStep
from ..wrapper import TimeLimit
from ._gymnax import as_flag, strong


@final
class BraxEnv(AbstractEnv):
    """A brax environment, or an MJX environment of MuJoCo Playground, without a time limit.

    Actions are in [-1, 1], as brax wants them; observations have no bounds.
    """

    task: Any = eqx.field(static=True)  # a `brax.envs.Env` or a `mujoco_playground.MjxEnv`

    @property
    def name(self) -> str:
        return type(self.task).__name__

    @property
    def observation_space(self) -> AbstractSpace:
        size = self.task.observation_size
        if isinstance(size, int):
            return Box(-np.inf, np.inf, (size,))
        return Dict({name: Box(-np.inf, np.inf, tuple(np.atleast_1d(part).tolist())) for name, part in size.items()})

    @property
    def action_space(self) -> Box:
        return Box(-1, 1, (self.task.action_size,))

    def reset(self, *, key: Key[Array, ""]) -> tuple[State, Observation]:
        state = jax.tree.map(strong, self.task.reset(key))
        return state, observed(state)

    def step(self, state: State, action: Action, *, key: Key[Array, ""]) -> TimeStep:
        after = self.task.step(state, action)
        after = jax.tree.map(lambda new, old: jnp.asarray(new).astype(old.dtype), after, state)
        reward = after.reward.astype(jnp.float32)
        return TimeStep(after, observed(after), reward, as_flag(after.done), jnp.zeros((), bool))


def from_brax(name: str, *, max_episode_steps: int = 1000, **settings: Any) -> TimeLimit:
    """brax's environment of that name, truncated after `max_episode_steps`; `settings` such as `backend="mjx"` go to brax.

    Raises: MissingExtraError without brax, ValueError for an unknown name.
    """
    envs = import_extra("brax.envs", "brax")
    try:
        task = envs.get_environment(name, **settings)
    except KeyError as error:
        raise ValueError(f"name={name!r} is no environment of brax. Use one of {', '.join(envs._envs)}.") from error
    return TimeLimit(BraxEnv(task), max_episode_steps)


def observed(state: Any) -> Observation:
    return jax.tree.map(lambda x: x.astype(jnp.float32), state.obs)
