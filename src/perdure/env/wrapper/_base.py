"""An environment around an environment."""

from typing import final

from jaxtyping import Array, Bool, Key

from perdure._core import Action, Observation, register
from perdure.space import AbstractSpace

from .._base import AbstractEnv, State, TimeStep


class AbstractWrapper(AbstractEnv):
    """Passes everything on to `env`; a subclass overrides what it changes.

    A wrapper without a state of its own hands on the state of `env` as it is.
    """

    env: AbstractEnv

    @property
    def name(self) -> str:
        return self.env.name

    @property
    def observation_space(self) -> AbstractSpace:
        return self.env.observation_space

    @property
    def action_space(self) -> AbstractSpace:
        return self.env.action_space

    def reset(self, *, key: Key[Array, ""]) -> tuple[State, Observation]:
        return self.env.reset(key=key)

    def step(self, state: State, action: Action, *, key: Key[Array, ""]) -> TimeStep:
        return self.env.step(state, action, key=key)

    def restart(self, state: State, *, key: Key[Array, ""]) -> tuple[State, Observation]:
        return self.env.restart(state, key=key)

    @property
    def carries_over(self) -> bool:
        return self.env.carries_over

    def action_mask(self, state: State) -> Bool[Array, " mask_size"] | None:
        return self.env.action_mask(state)

    @property
    def unwrapped(self) -> AbstractEnv:
        return self.env.unwrapped


@register(name="env.Identity")
@final
class Identity(AbstractWrapper):
    """Changes nothing: the neutral element where a wrapper is expected."""
