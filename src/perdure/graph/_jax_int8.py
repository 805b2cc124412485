"""The int8 operators in JAX: byte for byte what `int8` gives on numpy arrays.

Sums of products are whole numbers in int32. The sum of two tensors is taken in float32 pairs (Dekker 1971,
doi:10.1007/BF01397083), as the reference takes it in float64.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from . import int8
from ._graph import Node

Array = jax.Array  # or a constant of numpy, which JAX takes as well
F = np.float32


def to_bytes(real: Array, zero: int, low: int = int8.LOW) -> jax.Array:
    """Numbers in units of the scale to bytes; not-a-number becomes the lowest."""
    rounded = jnp.rint(jnp.nan_to_num(real, nan=-512.0, posinf=512.0, neginf=-512.0))
    return (jnp.clip(rounded, low - zero, int8.HIGH - zero) + zero).astype(jnp.int8)


def centred(x: Array, zero: int) -> jax.Array:
    return x.astype(jnp.int32) - zero


def quantize(node: Node, x: Array) -> jax.Array:
    scale, zero = node.attrs["to"]
    if x.dtype.kind == "f":
        return to_bytes(x / F(scale), zero)
    ((old, old_zero),) = node.attrs["scales"]
    return to_bytes(centred(x, old_zero).astype(F) * (F(old) / F(scale)), zero)


def dequantize(node: Node, x: Array) -> jax.Array:
    ((scale, zero),) = node.attrs["scales"]
    return (x.astype(F) - F(zero)) * F(scale)


def finish(node: Node, total: jax.Array, bias: Array, scale: Array) -> jax.Array:
    """From the sums of a layer to its bytes."""
    to_scale, zero = node.attrs["to"]
    low = zero if node.attrs["activation"] == "Relu" else int8.LOW
    multipliers = F(node.attrs["scales"][0][0]) * scale / F(to_scale)
    return to_bytes((total + bias).astype(F) * multipliers, zero, low)


def dense(node: Node, x: Array, weight: Array, bias: Array, scale: Array) -> jax.Array:
    total = jnp.matmul(centred(x, node.attrs["scales"][0][1]), weight.T.astype(jnp.int32))
    return finish(node, total, bias, scale)


def convolution(node: Node, x: Array, weight: Array, bias: Array, scale: Array) -> jax.Array:
    a = node.attrs
    total = lax.conv_general_dilated(
        centred(x, a["scales"][0][1]),
        weight.astype(jnp.int32),
        a["strides"],
        a["pads"],
        rhs_dilation=a["dilation"],
        dimension_numbers=(a["layout"], "OIHW", a["layout"]),
        feature_group_count=a["groups"],
    )
    if a["layout"] == "NCHW":
        bias, scale = bias.reshape(-1, 1, 1), scale.reshape(-1, 1, 1)
    return finish(node, total, bias, scale)


def look_up(node: Node, x: Array, table: Array) -> jax.Array:
    return jnp.asarray(table)[x.astype(jnp.int32) - int8.LOW]


def parts(x: jax.Array, factor: np.float32) -> tuple[jax.Array, jax.Array]:
    """`x * factor` as two numbers without an error: `x` has 9 bits, and each half of `factor` 12."""
    high = (factor * F(4097)) - (factor * F(4097) - factor)
    return x * high, x * (factor - high)


def add(node: Node, x: Array, y: Array) -> jax.Array:
    (a, za), (b, zb) = node.attrs["scales"]
    scale, zero = F(node.attrs["to"][0]), node.attrs["to"][1]
    sign = F(-1 if node.op == "SubInt8" else 1)
    one, one_low = parts(centred(x, za).astype(F), F(a) / scale)
    other, other_low = parts(sign * centred(y, zb).astype(F), F(b) / scale)
    total = one + other
    rest = total - one
    error = (one - (total - rest)) + (other - rest)
    return to_bytes(total + (error + (one_low + other_low)), zero)


def multiply(node: Node, x: Array, y: Array) -> jax.Array:
    (a, za), (b, zb) = node.attrs["scales"]
    scale, zero = node.attrs["to"]
    return to_bytes((centred(x, za) * centred(y, zb)).astype(F) * (F(a) * F(b) / F(scale)), zero)


FUNCTIONS: dict[str, Callable[..., jax.Array]] = {
    "Quantize": quantize, "Dequantize": dequantize, "DenseInt8": dense, "ConvInt8": convolution, "TableInt8": look_up,
    "AddInt8": add, "SubInt8": add, "MulInt8": multiply,
}  # fmt: skip
assert set(FUNCTIONS) == set(int8.FUNCTIONS)
