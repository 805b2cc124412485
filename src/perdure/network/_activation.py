"""Activations that JAX does not have, or has with a number that a file must hold.

Those with a number are records that are called, so that they compare by value and files hold what they are made of.
"""

import dataclasses
from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from perdure._core import register


@register
def tanh_shrink(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x - tanh(x)."""
    return x - jnp.tanh(x)


@register
@final
@dataclasses.dataclass(frozen=True)
class Bounded:
    """x within its bounds: PyTorch's Hardtanh."""

    low: float = -1.0
    high: float = 1.0

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.clip(x, self.low, self.high)


@register
@final
@dataclasses.dataclass(frozen=True)
class LeakyRelu:
    """x above zero, `slope` times x below."""

    slope: float = 0.01

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jax.nn.leaky_relu(x, self.slope)


@register
@final
@dataclasses.dataclass(frozen=True)
class Elu:
    """x above zero, alpha (exp(x) - 1) below."""

    alpha: float = 1.0

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jax.nn.elu(x, self.alpha)


@register
@final
@dataclasses.dataclass(frozen=True)
class Celu:
    """x above zero, alpha (exp(x / alpha) - 1) below."""

    alpha: float = 1.0

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jax.nn.celu(x, self.alpha)


@register
@final
@dataclasses.dataclass(frozen=True)
class SoftShrink:
    """x moved towards zero by `limit`, and zero where it would pass it."""

    limit: float = 0.5

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.sign(x) * jnp.maximum(jnp.abs(x) - self.limit, 0.0)


@register
@final
@dataclasses.dataclass(frozen=True)
class HardShrink:
    """x where it is farther than `limit` from zero, else zero."""

    limit: float = 0.5

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.where(jnp.abs(x) > self.limit, x, 0.0)
