"""A small policy to save. Run as a script, its class is one of `__main__`; imported, one of a module."""

import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr

from perdure.space import Box
from perdure.utils import Serializable, register


@register
class Head(eqx.Module):
    weight: jax.Array
    scale: float = eqx.field(static=True)


class SmallPolicy(Serializable):
    """One of everything that a file holds."""

    heads: tuple[Head, ...]
    activation: Any
    bounds: Box = eqx.field(static=True)
    key: jax.Array
    legal: jax.Array
    half: jax.Array
    wiring: np.ndarray
    epsilon: float

    def __init__(self, width: int = 2, *, depth: int = 2, key: jax.Array, **changed: Any):
        scale = changed.pop("scale", 0.1)
        self.heads = tuple(Head(jr.normal(k, (width, 3)), scale * (i + 1)) for i, k in enumerate(jr.split(key, depth)))
        self.activation = changed.pop("activation", jnp.tanh)
        self.bounds = Box(-1, changed.pop("high", np.inf), (3,))
        self.key = jr.key(7)
        self.legal = jnp.array([True, False])
        self.half = jnp.ones(3, changed.pop("dtype", jnp.bfloat16))
        self.wiring = np.arange(6, dtype=np.int8).reshape(2, 3).T  # not contiguous
        self.epsilon = 0.1  # not a float32
        assert not changed, changed


if __name__ == "__main__":
    SmallPolicy(key=jr.key(0)).serialize(sys.argv[1])
