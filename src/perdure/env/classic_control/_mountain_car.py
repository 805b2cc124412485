"""A car in a valley, too weak to drive straight up, with three actions or a continuous force.

Source: Moore 1990, "Efficient Memory-based Learning for Robot Control", thesis, University of Cambridge; the discrete
form of Sutton and Barto 2018, example 10.1. Agrees with MountainCar-v0 and MountainCarContinuous-v0 of Gymnasium 1.x,
which `perdure.env.make` gives with their limits of 200 and 999 steps.
"""

from typing import final

import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key

from perdure._core import register
from perdure.space import Box, Discrete

from .._base import AbstractEnv, TimeStep

MountainCarState = Float[Array, "2"]  # position along the track, velocity per step


class AbstractMountainCar(AbstractEnv):
    """The valley: height `sin(3 position)`, a wall at its left end, the goal at the top right."""

    gravity: float = 0.0025  # lengths per step^2
    min_position: float = -1.2  # the wall, where the car stops
    max_position: float = 0.6
    max_speed: float = 0.07  # lengths per step
    goal_position: float = 0.5
    goal_velocity: float = 0.0  # the least velocity that counts as having arrived
    reset_low: float = -0.6  # a first position is uniform in [reset_low, reset_high), at rest
    reset_high: float = -0.4

    @property
    def observation_space(self) -> Box:
        return Box([self.min_position, -self.max_speed], [self.max_position, self.max_speed])

    def reset(self, *, key: Key[Array, ""]) -> tuple[MountainCarState, Float[Array, "2"]]:
        position = jr.uniform(key, (), jnp.float32, self.reset_low, self.reset_high)
        state = jnp.stack([position, jnp.zeros_like(position)])
        return state, state

    def drive(self, state: MountainCarState, force: Float[Array, ""]) -> tuple[MountainCarState, Bool[Array, ""]]:
        """The next state, and whether the car has arrived."""
        position, velocity = state
        velocity = velocity + force - self.gravity * jnp.cos(3 * position)
        velocity = jnp.clip(velocity, -self.max_speed, self.max_speed)
        position = jnp.clip(position + velocity, self.min_position, self.max_position)
        velocity = jnp.where((position <= self.min_position) & (velocity < 0), 0, velocity)
        arrived = (position >= self.goal_position) & (velocity >= self.goal_velocity)
        return jnp.stack([position, velocity]), arrived


@register(name="env.MountainCar")
@final
class MountainCar(AbstractMountainCar):
    """Push left, not at all or right (0, 1, 2); reward -1 for every step."""

    force: float = 0.001  # lengths per step^2, size of one push

    @property
    def action_space(self) -> Discrete:
        return Discrete(3)

    def step(self, state: MountainCarState, action: Int[Array, ""], *, key: Key[Array, ""]) -> TimeStep:
        state, arrived = self.drive(state, self.force * (action - 1))
        return TimeStep(state, state, -jnp.ones((), jnp.float32), arrived, jnp.zeros((), bool))


@register(name="env.MountainCarContinuous")
@final
class MountainCarContinuous(AbstractMountainCar):
    """Push with a force in [-1, 1]; reward 100 on arrival, less `0.1 action^2` for every step.

    The force is clipped, the price is that of the action as it was given, as in Gymnasium.
    """

    goal_position: float = 0.45
    power: float = 0.0015  # lengths per step^2 at full force

    @property
    def action_space(self) -> Box:
        return Box(-1, 1, (1,))

    def step(self, state: MountainCarState, action: Float[Array, "1"], *, key: Key[Array, ""]) -> TimeStep:
        state, arrived = self.drive(state, self.power * jnp.clip(action[0], -1, 1))
        reward = jnp.where(arrived, 100, 0) - 0.1 * action[0] ** 2
        return TimeStep(state, state, reward.astype(jnp.float32), arrived, jnp.zeros((), bool))
