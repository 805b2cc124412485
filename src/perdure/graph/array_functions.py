"""Functions on numpy arrays for the operators that numpy has no single function for.

The reference (`_interpret`) calls them, and the script of the target `weights` holds the text of those it needs: so they
use nothing but numpy and one another. Where numpy and JAX part they do as JAX: a float goes to an integer saturated and
NaN to 0; integer division truncates and by zero gives -1; sorting takes NaN for the largest value.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Pads = Sequence[tuple[int, int]]  # (low, high) of each axis
Array = Any  # a numpy array, or a numpy number where no axis is left


def divide(a: Array, b: Array) -> Array:
    """Of integers, towards zero; by zero it is -1."""
    wide = np.abs(a.astype(np.int64)) // np.maximum(np.abs(b.astype(np.int64)), 1) * np.sign(a) * np.sign(b)
    return np.where(b == 0, -1, wide)


def remainder(a: Array, b: Array) -> Array:
    """Of integers, with the sign of the first; by zero it is the first."""
    return np.where(b == 0, a, np.fmod(a, np.where(b == 0, 1, b)))


def saturate(x: Array, dtype: str) -> Array:
    """Floats to integers; NaN gives 0."""
    limits = np.iinfo(dtype)
    return np.clip(np.nan_to_num(x.astype(np.float64), nan=0.0), limits.min, limits.max).astype(dtype)


def sigmoid(x: Array) -> Array:
    return np.float32(0.5) * np.tanh(np.float32(0.5) * x) + np.float32(0.5)


def erf(x: Array) -> Array:
    return np.vectorize(math.erf, otypes=["f"])(x)


def softmax(x: Array, axis: int) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def strided(x: Array, starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int]) -> Array:
    """A slice; a negative step reads backwards."""
    for axis, (start, count, step) in enumerate(zip(starts, sizes, steps, strict=True)):
        x = np.take(x, start + step * np.arange(count), axis=axis)
    return x


def top_k(x: Array, k: int, largest: bool, index: bool) -> Array:
    """Numpy sorts ascending with NaN last; descending is that on the mirrored row, so that equals keep their order."""
    if largest:
        order = x.shape[-1] - 1 - np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1]
    else:
        order = np.argsort(x, axis=-1, kind="stable")
    order = order[..., :k]
    return order if index else np.take_along_axis(x, order, -1)


def gather_rows(x: Array, index: Array, axis: int) -> Array:
    """`np.take` for each item of a batch."""
    rows = [np.take(row, i, axis=axis - 1) for row, i in zip(x, index, strict=True)]
    return np.stack(rows) if rows else np.zeros((0, *x.shape[1:axis], *index.shape[1:], *x.shape[axis + 1 :]), x.dtype)


def windows(
    x: Array,
    size: Sequence[int],
    strides: Sequence[int],
    pads: Pads,
    dilation: Sequence[int] = (1, 1),
    fill: float = 0.0,
) -> Array:
    """Every window of images, channels last: (batch, height, width, channel, window height, window width)."""
    x = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    reach = tuple((k - 1) * d + 1 for k, d in zip(size, dilation, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(x, reach, (1, 2))
    return view[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]


def convolve(
    x: Array, weight: Array, strides: Sequence[int], pads: Pads, dilation: Sequence[int], groups: int
) -> Array:
    """Images with channels last; the weight is [output][input][row][column]."""
    view = windows(x, weight.shape[2:], strides, pads, dilation)
    view = view.reshape(*view.shape[:3], groups, -1, *view.shape[4:])
    parts = weight.reshape(groups, -1, *weight.shape[1:])
    return np.einsum("bhwgcij,gocij->bhwgo", view, parts, optimize=True).reshape(*view.shape[:3], -1)


def pool(x: Array, kind: str, size: Sequence[int], strides: Sequence[int], pads: Pads) -> Array:
    """The largest, or the sum, of every window of images with channels last."""
    if kind == "max":
        fill = -np.inf if x.dtype.kind == "f" else float(np.iinfo(x.dtype).min)
        return windows(x, size, strides, pads, fill=fill).max((-1, -2))
    return windows(x, size, strides, pads).sum((-1, -2))
