"""A small image task: catch what falls. As images go, the least that needs looking."""

from typing import Any, NamedTuple, final

import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Int, Key, UInt8

from perdure.env import AbstractEnv, TimeStep
from perdure.space import Box, Discrete

SIZE = 12  # pixels, both ways


class Falling(NamedTuple):
    ball: Int[Array, ""]  # column
    row: Int[Array, ""]
    paddle: Int[Array, ""]  # column of its middle, in the last row


@final
class Catch(AbstractEnv):
    """A ball falls straight down, the paddle moves one pixel left, not at all, or one right: 1 if caught, or -1.

    Source: Osband et al. 2020, "Behaviour suite for reinforcement learning", arXiv:1908.03568, section "catch".
    """

    @property
    def observation_space(self) -> Box:
        return Box(0, 255, (SIZE, SIZE, 1), jnp.uint8)

    @property
    def action_space(self) -> Discrete:
        return Discrete(3)

    def reset(self, *, key: Key[Array, ""]) -> tuple[Falling, UInt8[Array, "size size 1"]]:
        state = Falling(jr.randint(key, (), 0, SIZE), jnp.zeros((), jnp.int32), jnp.asarray(SIZE // 2, jnp.int32))
        return state, picture(state)

    def step(self, state: Falling, action: Any, *, key: Key[Array, ""]) -> TimeStep:
        state = Falling(state.ball, state.row + 1, jnp.clip(state.paddle + action - 1, 0, SIZE - 1))
        landed = state.row == SIZE - 1
        caught = jnp.where(state.ball == state.paddle, 1.0, -1.0)
        return TimeStep(state, picture(state), jnp.where(landed, caught, 0.0), landed, jnp.zeros((), bool))


def picture(state: Falling) -> UInt8[Array, "size size 1"]:
    black = jnp.zeros((SIZE, SIZE, 1), jnp.uint8)
    return black.at[state.row, state.ball].set(255).at[SIZE - 1, state.paddle].set(255)
