"""A pendulum to be swung up and held upright by a torque too weak to lift it at once.

Source: the task of Gym (Brockman et al. 2016, arXiv:1606.01540). Agrees with Pendulum-v1 of Gymnasium 1.x, which
`perdure.env.make("Pendulum-v1")` gives with its limit of 200 steps.
"""

import math
from typing import final

import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Float, Key

from perdure._core import register
from perdure.space import Box

from .._base import AbstractEnv, TimeStep

PendulumState = Float[Array, "2"]  # angle from upright [rad] in [-pi, pi), velocity [rad/s]


@register(name="env.Pendulum")
@final
class Pendulum(AbstractEnv):
    """Torque in [-max_torque, max_torque], clipped; reward `-(angle^2 + 0.1 velocity^2 + 0.001 torque^2)`; never ends.

    Departure: the angle in the state is kept in [-pi, pi), where Gymnasium's grows with every turn and a float32 would
    lose digits. Observations and rewards are the same.
    """

    gravity: float = 10.0  # m/s^2
    mass: float = 1.0  # kg
    length: float = 1.0  # m
    max_torque: float = 2.0  # N m
    max_speed: float = 8.0  # rad/s
    dt: float = 0.05  # s between two actions
    reset_angle: float = math.pi  # rad, a first angle is uniform in [-reset_angle, reset_angle)
    reset_speed: float = 1.0  # rad/s, a first velocity is uniform in [-reset_speed, reset_speed)

    @property
    def observation_space(self) -> Box:
        high = np.asarray([1, 1, self.max_speed], np.float32)
        return Box(-high, high)

    @property
    def action_space(self) -> Box:
        return Box(-self.max_torque, self.max_torque, (1,))

    def reset(self, *, key: Key[Array, ""]) -> tuple[PendulumState, Float[Array, "3"]]:
        unit = jr.uniform(key, (2,), jnp.float32, -1, 1)
        state = unit * jnp.asarray([self.reset_angle, self.reset_speed], jnp.float32)
        return state, self.observe(state)

    def step(self, state: PendulumState, action: Float[Array, "1"], *, key: Key[Array, ""]) -> TimeStep:
        angle, velocity = state
        torque = jnp.clip(action[0], -self.max_torque, self.max_torque)
        cost = wrap(angle) ** 2 + 0.1 * velocity**2 + 0.001 * torque**2

        fall = 3 * self.gravity / (2 * self.length) * jnp.sin(angle)
        velocity = velocity + self.dt * (fall + 3 / (self.mass * self.length**2) * torque)
        velocity = jnp.clip(velocity, -self.max_speed, self.max_speed)
        state = jnp.stack([wrap(angle + self.dt * velocity), velocity])
        return TimeStep(state, self.observe(state), -cost, jnp.zeros((), bool), jnp.zeros((), bool))

    def observe(self, state: PendulumState) -> Float[Array, "3"]:
        """Cosine and sine of the angle, then the velocity."""
        angle, velocity = state
        return jnp.stack([jnp.cos(angle), jnp.sin(angle), velocity])


def wrap(angle: Float[Array, ""]) -> Float[Array, ""]:
    """The same direction in [-pi, pi)."""
    return (angle + jnp.pi) % (2 * jnp.pi) - jnp.pi
