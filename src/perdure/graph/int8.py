"""Integer arithmetic of the int8 operators on numpy arrays: the reference that LiteRT and C are compared with.

A real number r is the byte q with r = scale * (q - zero). Products are summed as whole numbers, scaled once in float32,
rounded to the nearest (ties to even) and clipped to a byte: what XNNPACK does in LiteRT, bit for bit.
Source: Jacob et al. 2018, arXiv:1712.05877; https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec

| operator | inputs | attributes beside `scales`, the (scale, zero) of each byte input, and `to`, that of the output |
|---|---|---|
| Quantize | x, float or bytes | |
| Dequantize | x | no `to` |
| DenseInt8 | x, W, bias int32, scale of W | activation: None or Relu |
| ConvInt8 | x, W[O, I, h, w], bias int32, scale of W, one for each output | those of Conv; pads are 0 |
| TableInt8 | x, the 256 answers from x = -128 on | kind |
| AddInt8, SubInt8, MulInt8 | x, y | |
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import array_functions as functions
from ._graph import Node

Array = Any
Scale = tuple[float, int]  # scale, zero
LOW, HIGH = -128, 127
F = np.float32


def to_bytes(real: Array, zero: int, low: int = LOW) -> Array:
    """Numbers in units of the scale to bytes; not-a-number becomes the lowest."""
    rounded = np.rint(np.nan_to_num(real, nan=-512.0, posinf=512.0, neginf=-512.0))
    return (np.clip(rounded, low - zero, HIGH - zero) + zero).astype(np.int8)


def centred(x: Array, zero: int) -> Array:
    """Bytes less their zero; float64 holds their products and sums exactly, and multiplies fast."""
    return x.astype(np.float64) - zero


def quantize(node: Node, x: Array) -> Array:
    scale, zero = node.attrs["to"]
    if x.dtype.kind == "f":
        return to_bytes(x / F(scale), zero)
    ((old, old_zero),) = node.attrs["scales"]
    return to_bytes(centred(x, old_zero).astype(F) * (F(old) / F(scale)), zero)


def dequantize(node: Node, x: Array) -> Array:
    ((scale, zero),) = node.attrs["scales"]
    return (x.astype(F) - F(zero)) * F(scale)


def multipliers(node: Node) -> Array:
    """What the sums of a layer are multiplied with, one for each output or for all."""
    return F(node.attrs["scales"][0][0]) * node.inputs[3].value / F(node.attrs["to"][0])


def finish(node: Node, total: Array, bias: Array) -> Array:
    """From the sums of a layer to its bytes."""
    zero = node.attrs["to"][1]
    low = zero if node.attrs["activation"] == "Relu" else LOW
    return to_bytes((total + bias).astype(F) * multipliers(node), zero, low)


def dense(node: Node, x: Array, weight: Array, bias: Array, _: Array) -> Array:
    return finish(node, centred(x, node.attrs["scales"][0][1]) @ weight.T.astype(np.float64), bias)


def convolution(node: Node, x: Array, weight: Array, bias: Array, _: Array) -> Array:
    a = node.attrs
    inputs = centred(x, a["scales"][0][1])
    total = functions.convolve(inputs, weight.astype(np.float64), a["strides"], a["pads"], a["dilation"], a["groups"])
    return finish(node, total, bias)


def look_up(node: Node, x: Array, table: Array) -> Array:
    return table[x.astype(np.int32) - LOW]


def total(node: Node, x: Array, y: Array) -> Array:
    """A sum or difference of bytes in units of the output's scale."""
    (a, za), (b, zb) = node.attrs["scales"]
    scale, sign = F(node.attrs["to"][0]), -1 if node.op == "SubInt8" else 1
    return centred(x, za) * np.float64(F(a) / scale) + sign * centred(y, zb) * np.float64(F(b) / scale)


def add(node: Node, x: Array, y: Array) -> Array:
    return to_bytes(total(node, x, y).astype(F), node.attrs["to"][1])


def multiply(node: Node, x: Array, y: Array) -> Array:
    (a, za), (b, zb) = node.attrs["scales"]
    scale, zero = node.attrs["to"]
    return to_bytes((centred(x, za) * centred(y, zb)).astype(F) * (F(a) * F(b) / F(scale)), zero)


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "Quantize": quantize, "Dequantize": dequantize, "DenseInt8": dense, "ConvInt8": convolution, "TableInt8": look_up,
    "AddInt8": add, "SubInt8": add, "MulInt8": multiply,
}  # fmt: skip
