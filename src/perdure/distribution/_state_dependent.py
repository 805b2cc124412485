"""Exploration that depends on the state: the same in the same state, as long as one draw is held (gSDE)."""

from typing import ClassVar, Literal, final

import equinox as eqx
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from ._base import AbstractDistribution, check_shape
from ._normal import Normal, SquashedNormal

LEAST_VARIANCE = 1e-6  # so that features of zero still have a density


@final
class StateDependentNormal(AbstractDistribution):
    """The mean plus the features of the state times a random matrix; with `squash`, spoken of by the value before tanh.

        a = mean + features^T (sigma * E),   E standard normal, one entry for each feature and action
        a ~ N(mean, features^2 sigma^2)

    `noise` is E. Where one E is used for several steps, exploration is smooth: a function of the state. Its density at
    each step is the one above all the same. `mode` does not know of the noise.

    Source: Raffin et al. 2020, arXiv:2005.05719, eq. 5 to 7.
    """

    noise_kind: ClassVar[Literal["normal"]] = "normal"
    mean: Float[Array, " size"]
    features: Float[Array, " features"]
    log_std: Float[Array, "features size"]  # natural logarithm of sigma
    squash: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        wanted = (*self.features.shape, *self.mean.shape)
        check_shape("log_std", self.log_std.shape, wanted, f"there are {wanted} features and actions")

    def marginal(self) -> Normal | SquashedNormal:
        variance = jnp.square(self.features) @ jnp.exp(2 * self.log_std)
        log_std = 0.5 * jnp.log(variance + LEAST_VARIANCE)
        return (SquashedNormal if self.squash else Normal)(self.mean, log_std)

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "*shape features size"]:
        return jr.normal(key, self.log_std.shape)

    def from_noise(self, noise: Float[Array, "features size"]) -> Float[Array, " size"]:
        return self.mean + self.features @ (jnp.exp(self.log_std) * noise)

    def mode(self) -> Float[Array, " size"]:
        return self.mean

    def log_prob(self, value: Float[Array, " size"]) -> Float[Array, ""]:
        return self.marginal().log_prob(value)

    def entropy(self) -> Float[Array, ""]:
        return self.marginal().entropy()
