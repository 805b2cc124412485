"""Activations that JAX does not have, registered so that files can name them."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from perdure._core import register


@register
def bounded(x: Float[Array, "..."], low: float = -1.0, high: float = 1.0) -> Float[Array, "..."]:
    """x within its bounds: PyTorch's Hardtanh. `functools.partial` of it has other bounds."""
    return jnp.clip(x, low, high)


@register
def tanh_shrink(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x - tanh(x)."""
    return x - jnp.tanh(x)


@register
def soft_shrink(x: Float[Array, "..."], limit: float = 0.5) -> Float[Array, "..."]:
    """x moved towards zero by `limit`, and zero where it would pass it."""
    return jnp.sign(x) * jnp.maximum(jnp.abs(x) - limit, 0.0)


@register
def hard_shrink(x: Float[Array, "..."], limit: float = 0.5) -> Float[Array, "..."]:
    """x where it is farther than `limit` from zero, else zero."""
    return jnp.where(jnp.abs(x) > limit, x, 0.0)
