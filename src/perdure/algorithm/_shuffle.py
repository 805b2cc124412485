"""Random orders for minibatches."""

import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Int, Key


def permutation(size: int, *, key: Key[Array, ""]) -> Int[Array, " size"]:
    """The numbers 0 to size - 1 in random order."""
    return jnp.argsort(jr.bits(key, (size,)))
