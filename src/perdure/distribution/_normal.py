"""Distributions over real vectors: normal, and normal squashed by tanh."""

import math
from typing import ClassVar, Literal, final

import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from ._base import AbstractDistribution, check_shape

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@final
class Normal(AbstractDistribution):
    """Independent normals; `log_std` is the natural logarithm of the standard deviation.

    Raises: ValueError where the shapes of mean, log_std and value differ, as in all distributions of real vectors.
    """

    noise_kind: ClassVar[Literal["normal"]] = "normal"
    mean: Float[Array, " size"]
    log_std: Float[Array, " size"]

    def __check_init__(self) -> None:
        check_shape("log_std", jnp.shape(self.log_std), self.mean.shape, f"mean has {self.mean.shape}")

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "*shape size"]:
        return jr.normal(key, self.mean.shape)

    def from_noise(self, noise: Float[Array, " size"]) -> Float[Array, " size"]:
        return self.mean + jnp.exp(self.log_std) * noise

    def mode(self) -> Float[Array, " size"]:
        return self.mean

    def log_prob(self, value: Float[Array, " size"]) -> Float[Array, ""]:
        check_shape("value", jnp.shape(value), self.mean.shape, f"mean has {self.mean.shape}")
        z = (value - self.mean) * jnp.exp(-self.log_std)
        return (-0.5 * jnp.square(z) - self.log_std - HALF_LOG_TWO_PI).sum()

    def entropy(self) -> Float[Array, ""]:
        return (0.5 + HALF_LOG_TWO_PI + self.log_std).sum()


@final
class SquashedNormal(AbstractDistribution):
    """tanh of independent normals, spoken of by the value *before* tanh.

    `sample`, `mode` and `log_prob` take and give u; the action is tanh(u) in (-1, 1). tanh rounds to 1 in float32 past
    |u| = 9, so the density of the action is computed from u and never by inverting tanh:

        log p(tanh u) = log N(u) - sum log(1 - tanh(u)^2),   log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2u))

    `mode` is the u of the median, mean: the mode of the squashed density has no closed form, and this is what is deployed.
    `entropy` has none either: it is the estimate from one point, -log p at the mean.

    Source: Haarnoja et al. 2018, arXiv:1812.05905, appendix C.
    """

    noise_kind: ClassVar[Literal["normal"]] = "normal"
    mean: Float[Array, " size"]
    log_std: Float[Array, " size"]

    def __check_init__(self) -> None:
        check_shape("log_std", jnp.shape(self.log_std), self.mean.shape, f"mean has {self.mean.shape}")

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "*shape size"]:
        return jr.normal(key, self.mean.shape)

    def from_noise(self, noise: Float[Array, " size"]) -> Float[Array, " size"]:
        return Normal(self.mean, self.log_std).from_noise(noise)

    def mode(self) -> Float[Array, " size"]:
        return self.mean

    def log_prob(self, value: Float[Array, " size"]) -> Float[Array, ""]:
        log_slope = 2 * (math.log(2) - value - jax.nn.softplus(-2 * value))
        return Normal(self.mean, self.log_std).log_prob(value) - log_slope.sum()

    def entropy(self) -> Float[Array, ""]:
        return -self.log_prob(self.mean)
