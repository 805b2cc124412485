"""How weights begin."""

from collections.abc import Sequence
from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Float, Key

Initialization = Literal["orthogonal", "uniform"]


def check_initialization(initialization: str) -> None:
    """Raises: ValueError if it is not one that is known."""
    if initialization not in get_args(Initialization):
        raise ValueError(f"initialization={initialization!r} is not known. Use 'orthogonal' or 'uniform'.")


def check_sizes(name: str, sizes: Sequence[int]) -> None:
    """Raises: ValueError naming the first of these layers that has no unit."""
    for i, size in enumerate(sizes):
        if size < 1:
            where = name if len(sizes) == 1 and not name.endswith("sizes") else f"{name}[{i}]"
            raise ValueError(f"{where} = {size}, but a layer needs at least one unit.")


@partial(jax.jit, static_argnames=("shapes", "gains", "initialization"))
def initial_layers(
    shapes: tuple[tuple[int, ...], ...],
    gains: tuple[float, ...],
    *,
    initialization: Initialization,
    key: Key[Array, ""],
) -> list[tuple[Float[Array, "..."], Float[Array, " out_size"]]]:
    """`(weight, bias)` of each layer; a shape is `(out_size, in_size, *kernel)`.

    "orthogonal": weights with orthonormal rows or columns, times the layer's gain, and biases of zero (Saxe et al. 2014,
    arXiv:1312.6120), as PPO wants them. "uniform": both within 1 / sqrt(fan in), which is what PyTorch's and Equinox's
    layers do by default; gains do not apply.

    All layers come from one random draw in one compiled function: each draw would cost a compilation of its own.

    Raises: ValueError for another initialisation.
    """
    check_initialization(initialization)
    is_orthogonal = initialization == "orthogonal"
    sizes = [int(np.prod(shape)) + (0 if is_orthogonal else shape[0]) for shape in shapes]
    draw = jr.normal if is_orthogonal else partial(jr.uniform, minval=-1.0, maxval=1.0)
    numbers = jnp.split(draw(key, (sum(sizes),)), np.cumsum(sizes)[:-1])
    layers = []
    for shape, gain, x in zip(shapes, gains, numbers, strict=True):
        out_size, fan_in = shape[0], int(np.prod(shape[1:]))
        if is_orthogonal:
            layers.append((gain * orthogonal(x.reshape(out_size, fan_in)).reshape(shape), jnp.zeros(out_size)))
        else:
            weight, bias = x[out_size:] / np.sqrt(fan_in), x[:out_size] / np.sqrt(fan_in)
            layers.append((weight.reshape(shape), bias))
    return layers


def orthogonal(normal: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
    """The matrix of orthonormal rows (or columns, if they are fewer) that a matrix of normal draws stands for."""
    rows, columns = normal.shape
    q, r = jnp.linalg.qr(normal if rows >= columns else normal.T)
    q = q * jnp.where(jnp.diagonal(r) < 0, -1.0, 1.0)  # without the signs the draw is not uniform over rotations
    return q if rows >= columns else q.T
