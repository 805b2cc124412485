"""Two links hanging from a bar, driven at the joint between them, to be swung up above a line.

Source: Sutton 1996, "Generalization in Reinforcement Learning: Successful Examples Using Sparse Coarse Coding"; Sutton
and Barto 2018, "Reinforcement Learning: An Introduction", section 11.4 of the first edition for the equations ("book"
dynamics). Agrees with Acrobot-v1 of Gymnasium 1.x, which `perdure.env.make("Acrobot-v1")` gives with its limit of 500
steps.
"""

import math
from typing import final

import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Float, Int, Key

from perdure._core import register
from perdure.space import Box, Discrete

from .._base import AbstractEnv, TimeStep

# Angle of the first link from hanging down and of the second from the first [rad], in [-pi, pi), and their velocities.
AcrobotState = Float[Array, "4"]


@register(name="env.Acrobot")
@final
class Acrobot(AbstractEnv):
    """Torque -1, 0 or 1 (actions 0, 1, 2); reward -1 a step, 0 for the one that lifts the tip above the line."""

    gravity: float = 9.8  # m/s^2
    length_1: float = 1.0  # m, first link
    mass_1: float = 1.0  # kg
    mass_2: float = 1.0  # kg
    center_1: float = 0.5  # m, from the bar to the first link's centre of mass
    center_2: float = 0.5  # m, from the joint to the second link's centre of mass
    inertia: float = 1.0  # kg m^2, of each link
    torque: float = 1.0  # N m, size of one push
    max_velocity_1: float = 4 * math.pi  # rad/s
    max_velocity_2: float = 9 * math.pi  # rad/s
    dt: float = 0.2  # s between two actions, one Runge-Kutta step
    goal_height: float = 1.0  # link lengths above the bar
    reset_bound: float = 0.1  # every entry of a first state is uniform in [-reset_bound, reset_bound)

    @property
    def observation_space(self) -> Box:
        high = np.asarray([1, 1, 1, 1, self.max_velocity_1, self.max_velocity_2], np.float32)
        return Box(-high, high)

    @property
    def action_space(self) -> Discrete:
        return Discrete(3)

    def reset(self, *, key: Key[Array, ""]) -> tuple[AcrobotState, Float[Array, "6"]]:
        state = jr.uniform(key, (4,), jnp.float32, -self.reset_bound, self.reset_bound)
        return state, self.observe(state)

    def step(self, state: AcrobotState, action: Int[Array, ""], *, key: Key[Array, ""]) -> TimeStep:
        torque = self.torque * (action - 1)
        k1 = self.derivative(state, torque)
        k2 = self.derivative(state + 0.5 * self.dt * k1, torque)
        k3 = self.derivative(state + 0.5 * self.dt * k2, torque)
        k4 = self.derivative(state + self.dt * k3, torque)
        angle_1, angle_2, velocity_1, velocity_2 = state + self.dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

        state = jnp.stack(
            [
                (angle_1 + jnp.pi) % (2 * jnp.pi) - jnp.pi,
                (angle_2 + jnp.pi) % (2 * jnp.pi) - jnp.pi,
                jnp.clip(velocity_1, -self.max_velocity_1, self.max_velocity_1),
                jnp.clip(velocity_2, -self.max_velocity_2, self.max_velocity_2),
            ]
        )
        lifted = -jnp.cos(state[0]) - jnp.cos(state[0] + state[1]) > self.goal_height
        reward = jnp.where(lifted, 0, -1).astype(jnp.float32)
        return TimeStep(state, self.observe(state), reward, lifted, jnp.zeros((), bool))

    def observe(self, state: AcrobotState) -> Float[Array, "6"]:
        """Cosine and sine of each angle, then the velocities."""
        cos, sin = jnp.cos(state[:2]), jnp.sin(state[:2])
        return jnp.stack([cos[0], sin[0], cos[1], sin[1], state[2], state[3]])

    def derivative(self, state: AcrobotState, torque: Float[Array, ""]) -> Float[Array, "4"]:
        """Time derivative of `state`. `sin(x)` stands where the book has `cos(x - pi/2)`: the same, and exact at 0."""
        angle_1, angle_2, velocity_1, velocity_2 = state
        cos_2, sin_2 = jnp.cos(angle_2), jnp.sin(angle_2)
        coupling = self.mass_2 * self.length_1 * self.center_2
        inertia_2 = self.mass_2 * self.center_2**2 + self.inertia
        inertia_1 = self.mass_1 * self.center_1**2 + self.mass_2 * self.length_1**2 + self.inertia

        d1 = inertia_1 + inertia_2 + 2 * coupling * cos_2
        d2 = inertia_2 + coupling * cos_2
        phi_2 = self.mass_2 * self.center_2 * self.gravity * jnp.sin(angle_1 + angle_2)
        phi_1 = (
            -coupling * velocity_2 * (velocity_2 + 2 * velocity_1) * sin_2
            + (self.mass_1 * self.center_1 + self.mass_2 * self.length_1) * self.gravity * jnp.sin(angle_1)
            + phi_2
        )
        drive = torque + d2 / d1 * phi_1 - coupling * velocity_1**2 * sin_2 - phi_2
        acceleration_2 = drive / (inertia_2 - d2**2 / d1)
        acceleration_1 = -(d2 * acceleration_2 + phi_1) / d1
        return jnp.stack([velocity_1, velocity_2, acceleration_1, acceleration_2])
