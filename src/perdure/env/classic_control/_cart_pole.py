"""A pole hinged to a cart, to be kept upright by pushing the cart.

Source: Barto, Sutton and Anderson 1983, "Neuronlike Adaptive Elements That Can Solve Difficult Learning Control
Problems"; equations as in Florian 2007, "Correct equations for the dynamics of the cart-pole system", without friction.
Agrees with CartPole-v1 of Gymnasium 1.x, which `perdure.env.make("CartPole-v1")` gives with its limit of 500 steps.
"""

import math
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Float, Int, Key

from perdure._core import register
from perdure.space import Box, Discrete

from .._base import AbstractEnv, TimeStep

CartPoleState = Float[Array, "4"]  # cart position [m] and velocity [m/s], pole angle [rad] and velocity [rad/s]


@register(name="env.CartPole")
@final
class CartPole(AbstractEnv):
    """Push left (0) or right (1); reward 1 for every step until the pole falls or the cart leaves the track."""

    gravity: float = 9.8  # m/s^2
    cart_mass: float = 1.0  # kg
    pole_mass: float = 0.1  # kg
    half_length: float = 0.5  # m, from the hinge to the pole's centre of mass
    force: float = 10.0  # N, size of one push
    dt: float = 0.02  # s between two actions
    position_limit: float = 2.4  # m, the cart fails beyond it
    angle_limit: float = 12 * 2 * math.pi / 360  # rad, the pole has fallen beyond it
    reset_bound: float = 0.05  # every entry of a first state is uniform in [-reset_bound, reset_bound)
    kinematics_integrator: str = eqx.field(static=True, default="euler")  # or "semi-implicit euler"

    def __check_init__(self) -> None:
        if self.kinematics_integrator not in ("euler", "semi-implicit euler"):
            raise ValueError(
                f"CartPole.kinematics_integrator = {self.kinematics_integrator!r}. "
                "Choose 'euler' (as in Gymnasium's CartPole-v1) or 'semi-implicit euler'."
            )

    @property
    def observation_space(self) -> Box:
        # Twice the limits, so that the observation of a failure still lies inside.
        high = np.asarray([2 * self.position_limit, np.inf, 2 * self.angle_limit, np.inf], np.float32)
        return Box(-high, high)

    @property
    def action_space(self) -> Discrete:
        return Discrete(2)

    def reset(self, *, key: Key[Array, ""]) -> tuple[CartPoleState, Float[Array, "4"]]:
        state = jr.uniform(key, (4,), jnp.float32, -self.reset_bound, self.reset_bound)
        return state, state

    def step(self, state: CartPoleState, action: Int[Array, ""], *, key: Key[Array, ""]) -> TimeStep:
        _, velocity, angle, angular_velocity = state
        force = jnp.where(action == 1, self.force, -self.force)
        total_mass = self.cart_mass + self.pole_mass
        pole_moment = self.pole_mass * self.half_length
        cos, sin = jnp.cos(angle), jnp.sin(angle)

        push = (force + pole_moment * angular_velocity**2 * sin) / total_mass
        angular_acceleration = (self.gravity * sin - cos * push) / (
            self.half_length * (4 / 3 - self.pole_mass * cos**2 / total_mass)
        )
        acceleration = push - pole_moment * angular_acceleration * cos / total_mass

        if self.kinematics_integrator == "semi-implicit euler":
            velocity = velocity + self.dt * acceleration
            angular_velocity = angular_velocity + self.dt * angular_acceleration
        # One sum of vectors and one comparison of vectors: XLA compiles this to a loop several times faster on a CPU
        # than entries added and compared one by one.
        state = state + self.dt * jnp.stack([velocity, acceleration, angular_velocity, angular_acceleration])
        failed = jnp.any(jnp.abs(state) > jnp.asarray([self.position_limit, jnp.inf, self.angle_limit, jnp.inf]))
        return TimeStep(state, state, jnp.ones((), jnp.float32), failed, jnp.zeros((), bool))
