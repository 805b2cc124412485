"""A corridor to walk to its end."""

from typing import NamedTuple, final

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from perdure.env import AbstractEnv, TimeStep, register_environment
from perdure.space import Box, Discrete
from perdure.utils import register


class Place(NamedTuple):
    position: Float[Array, ""]


@register(name="wren.Corridor")
@final
class Corridor(AbstractEnv):
    """Action 1 goes a step to the right, action 0 to the left, where a wall is. Each step costs 1 until the end."""

    length: float = 3.0

    @property
    def observation_space(self) -> Box:
        return Box(0, 100, (1,))

    @property
    def action_space(self) -> Discrete:
        return Discrete(2)

    def reset(self, *, key: Key[Array, ""]) -> tuple[Place, Float[Array, "1"]]:
        return self.seen(jnp.zeros(()))

    def step(self, state: Place, action: Int[Array, ""], *, key: Key[Array, ""]) -> TimeStep:
        position = jnp.maximum(state.position + jnp.where(action == 1, 1.0, -1.0), 0.0)
        over = position >= self.length
        return TimeStep(*self.seen(position), -jnp.ones(()), over, jnp.zeros((), bool))

    def seen(self, position: Float[Array, ""]) -> tuple[Place, Float[Array, "1"]]:
        return Place(position), position[None]


register_environment("Corridor-v0", Corridor, max_episode_steps=20)
