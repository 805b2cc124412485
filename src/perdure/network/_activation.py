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


@register
@final
@dataclasses.dataclass(frozen=True)
class TanhSpread:
    """The first half of x as it is; the second, logarithms of standard deviations, through tanh into (low, high).

        low + (high - low) (tanh(x) + 1) / 2

    Unlike clipping it never stops the gradient.

    Source: the SAC of CleanRL and of Lerax, after Denis Yarats' (github.com/denisyarats/pytorch_sac).
    """

    low: float = -5.0
    high: float = 2.0

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        mean, spread = jnp.split(x, 2, axis=-1)
        return jnp.concatenate([mean, self.low + 0.5 * (self.high - self.low) * (jnp.tanh(spread) + 1)], axis=-1)
