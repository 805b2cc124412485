"""Environments of gymnax (extra `gymnax`)."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Key

from perdure._core import Action, Observation, import_extra
from perdure.space import AbstractSpace, Box, Dict, Discrete, Tuple

from .._base import AbstractEnv, State, TimeStep

ENDLESS = 2**31 - 1  # a time limit that is never reached


@final
class GymnaxEnv(AbstractEnv):
    """A gymnax environment with its parameters.

    gymnax before 1.0 has one flag, `done`, for ends and time limits alike. They are told apart by asking the task whether
    the state is terminal without its limit of `max_steps_in_episode`.
    """

    task: Any = eqx.field(static=True)  # a `gymnax.environments.environment.Environment`
    params: Any

    @property
    def name(self) -> str:
        return str(self.task.name)

    @property
    def observation_space(self) -> AbstractSpace:
        with jax.ensure_compile_time_eval():  # gymnax computes bounds with JAX, and may be asked while tracing
            return from_gymnax_space(self.task.observation_space(self.params))

    @property
    def action_space(self) -> AbstractSpace:
        with jax.ensure_compile_time_eval():
            return from_gymnax_space(self.task.action_space(self.params))

    def reset(self, *, key: Key[Array, ""]) -> tuple[State, Observation]:
        observation, state = self.task.reset_env(key, self.params)
        return jax.tree.map(strong, state), self.observed(observation)

    def step(self, state: State, action: Action, *, key: Key[Array, ""]) -> TimeStep:
        observation, after, reward, *flags, _ = self.task.step_env(key, state, action, self.params)
        # Some tasks come back from a step with other dtypes than from a reset.
        after = jax.tree.map(lambda new, old: jnp.asarray(new).astype(old.dtype), after, state)
        terminated, truncated = flags if len(flags) == 2 else self.end_or_limit(after, flags[0])
        reward = jnp.asarray(reward, jnp.float32).reshape(())
        return TimeStep(after, self.observed(observation), reward, as_flag(terminated), as_flag(truncated))

    def end_or_limit(self, state: State, done: ArrayLike) -> tuple[Bool[Array, ""], Bool[Array, ""]]:
        """`(terminated, truncated)` for the flag that stands for both."""
        done, limit = as_flag(done), getattr(self.params, "max_steps_in_episode", None)
        if limit is None:
            return done, jnp.zeros((), bool)
        terminal = as_flag(self.task.is_terminal(state, self.params.replace(max_steps_in_episode=ENDLESS)))
        truncated = done & ~terminal & (state.time >= limit)
        return done & ~truncated, truncated

    def observed(self, observation: Observation) -> Observation:
        """In the dtypes of the space."""
        like = jax.eval_shape(self.observation_space.canonical)
        return jax.tree.map(lambda x, space: jnp.asarray(x).astype(space.dtype), observation, like)


def from_gymnax(name: str, **params: Any) -> GymnaxEnv:
    """gymnax's environment of that name, with its own time limit; `params` replace some of its parameters.

    Raises: MissingExtraError without gymnax, and what `gymnax.make` raises for an unknown name.
    """
    task, usual = import_extra("gymnax", "gymnax").make(name)
    return GymnaxEnv(task, usual.replace(**params))


def from_gymnax_space(space: Any) -> AbstractSpace:
    """Our space for one of gymnax.

    Raises: TypeError for a kind of space without a counterpart here.
    """
    spaces = import_extra("gymnax.environments.spaces", "gymnax")
    match space:
        case spaces.Discrete():
            return Discrete(int(space.n))
        case spaces.Box():
            return Box(space.low, space.high, tuple(space.shape), space.dtype)
        case spaces.Dict():
            return Dict({name: from_gymnax_space(member) for name, member in space.spaces.items()})
        case spaces.Tuple():
            return Tuple(tuple(from_gymnax_space(member) for member in space.spaces))
    raise TypeError(f"gymnax space {type(space).__name__} has no counterpart in perdure.space.")


def strong(x: ArrayLike) -> Array:
    """An array with a dtype of its own, also for a Python number."""
    x = jnp.asarray(x)
    return jax.lax.convert_element_type(x, x.dtype)


def as_flag(x: ArrayLike) -> Bool[Array, ""]:
    return jnp.asarray(x).astype(bool).reshape(())
