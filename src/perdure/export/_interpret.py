"""The graph on numpy arrays: the reference for every writer. It agrees with JAX, not-a-numbers included.

Where numpy and JAX part: a float goes to an integer saturated and NaN to 0; integer division truncates and by zero
gives -1; max, argmax and sorting take NaN for the largest value.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ._graph import Graph, Node, bind
from ._operators import BINARY, UNARY, channel_axis, kernel_size

Array = Any  # a numpy array, or a numpy number where no axis is left


def divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return a / b
    wide = np.abs(a.astype(np.int64)) // np.maximum(np.abs(b.astype(np.int64)), 1) * np.sign(a) * np.sign(b)
    return np.where(b == 0, -1, wide)


def remainder(a: Array, b: Array) -> Array:
    return np.fmod(a, b) if a.dtype.kind == "f" else np.where(b == 0, a, np.fmod(a, np.where(b == 0, 1, b)))


def cast(x: Array, to: Any) -> Array:
    to = np.dtype(to)
    if x.dtype.kind == "f" and to.kind in "iu":
        limits = np.iinfo(to)
        return np.clip(np.nan_to_num(x.astype(np.float64), nan=0.0), limits.min, limits.max).astype(to)
    return x.astype(to)


def sigmoid(x: Array) -> Array:
    return np.asarray(0.5, x.dtype) * np.tanh(np.asarray(0.5, x.dtype) * x) + np.asarray(0.5, x.dtype)


UNARY_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "Neg": np.negative, "Abs": np.abs, "Sign": np.sign, "Floor": np.floor, "Ceil": np.ceil, "Round": np.rint,
    "Exp": np.exp, "Log": np.log, "Log1p": np.log1p, "Expm1": np.expm1, "Sqrt": np.sqrt, "Tanh": np.tanh,
    "Sigmoid": sigmoid, "Relu": lambda x: np.maximum(x, 0), "Erf": np.vectorize(math.erf, otypes=["f"]),
    "Not": np.logical_not, "Sin": np.sin, "Cos": np.cos, "Tan": np.tan, "Asin": np.arcsin, "Acos": np.arccos,
    "Atan": np.arctan, "Sinh": np.sinh, "Cosh": np.cosh,
}  # fmt: skip
BINARY_FUNCTIONS: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": divide, "Max": np.maximum, "Min": np.minimum,
    "Pow": np.power, "Rem": remainder, "And": np.logical_and, "Or": np.logical_or,
    "Eq": np.equal, "Lt": np.less, "Le": np.less_equal,
}  # fmt: skip
REDUCTIONS: dict[str, Callable[..., Array]] = {"sum": np.sum, "max": np.max, "min": np.min, "prod": np.prod}
assert set(UNARY_FUNCTIONS) == UNARY
assert set(BINARY_FUNCTIONS) == BINARY


def activate(y: Array, activation: str | None) -> Array:
    return y if activation is None else UNARY_FUNCTIONS[activation](y)


def take_slices(x: Array, starts: Any, sizes: Any, steps: Any) -> Array:
    for axis, (start, step, count) in enumerate(zip(starts, steps, sizes, strict=True)):
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


def gather(x: Array, index: Array, axis: int, batch_dims: int) -> Array:
    if batch_dims == 0:
        return np.take(x, index, axis=axis)
    rows = [np.take(row, i, axis=axis - 1) for row, i in zip(x, index, strict=True)]
    return np.stack(rows) if rows else np.zeros((0, *x.shape[1:axis], *index.shape[1:], *x.shape[axis + 1 :]), x.dtype)


def softmax(x: Array, axis: int) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def windows(node: Node, x: Array) -> Array:
    """Every window of a padded image: (batch, height, width, channel, kernel height, kernel width)."""
    a, kernel = node.attrs, kernel_size(node)
    dilation, strides = a.get("dilation", (1, 1)), a["strides"]
    last = x if a["layout"] == "NHWC" else x.transpose(0, 2, 3, 1)
    fill = -np.inf if a.get("kind") == "max" else 0
    last = np.pad(last, ((0, 0), *a["pads"], (0, 0)), constant_values=fill)
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(last, reach, (1, 2))
    return view[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]


def image(node: Node, inputs: list[Array]) -> Array:
    a, view = node.attrs, windows(node, inputs[0])
    if node.op == "Pool":
        y = view.max((-1, -2)) if a["kind"] == "max" else view.sum((-1, -2))
    else:
        groups = a["groups"]
        view = view.reshape(*view.shape[:3], groups, -1, *view.shape[4:])
        weight = inputs[1].reshape(groups, -1, *inputs[1].shape[1:])
        y = np.einsum("bhwgcij,gocij->bhwgo", view, weight, optimize=True).reshape(*view.shape[:3], -1)
        y = activate(y + (inputs[2] if len(inputs) > 2 else 0), a["activation"])
    return y if a["layout"] == "NHWC" else np.moveaxis(y, -1, channel_axis(a["layout"]))


def evaluate(node: Node, x: list[Array], batch: int) -> Array:
    """One node on arrays."""
    a = node.attrs
    match node.op:
        case op if op in UNARY_FUNCTIONS:
            return UNARY_FUNCTIONS[op](x[0])
        case op if op in BINARY_FUNCTIONS:
            return BINARY_FUNCTIONS[op](*x)
        case "Where":
            return np.where(*x)
        case "Clip":
            lo, hi = (np.asarray(bound, x[0].dtype) for bound in (a["lo"], a["hi"]))
            return np.minimum(np.maximum(x[0], lo), hi)
        case "Cast":
            return cast(x[0], a["to"])
        case "Reshape":
            return x[0].reshape(bind(a["shape"], batch))
        case "Broadcast":
            return np.broadcast_to(x[0], bind(a["shape"], batch))
        case "Transpose":
            return x[0].transpose(a["perm"])
        case "Concat":
            return np.concatenate(x, a["axis"])
        case "Slice":
            return take_slices(x[0], a["starts"], bind(a["sizes"], batch), a["steps"])
        case "Pad":
            return np.pad(x[0], a["pads"], constant_values=a["value"])
        case "Reduce":
            return REDUCTIONS[a["kind"]](x[0], axis=a["axes"], keepdims=a["keep"])
        case "ArgMax":
            return np.argmax(x[0], axis=a["axis"], keepdims=a["keep"])
        case "CumSum":
            axis = a["axis"]
            return np.flip(np.cumsum(np.flip(x[0], axis), axis), axis) if a["reverse"] else np.cumsum(x[0], axis)
        case "Softmax":
            return softmax(x[0], a["axis"])
        case "TopK":
            return top_k(x[0], a["k"], a["largest"], a["index"])
        case "Gather":
            return gather(x[0], x[1], a["axis"], a["batch_dims"])
        case "Dense":
            return activate(x[0] @ x[1].T + (x[2] if len(x) > 2 else 0), a["activation"])
        case "MatMul":
            return x[0] @ x[1]
        case "Conv" | "Pool":
            return image(node, x)
    raise KeyError(node.op)


def interpret(graph: Graph, arrays: dict[str, Array], batch: int | None = None) -> dict[str, Array]:
    """The outputs for inputs by name; `batch` is needed only where no input has a batch axis."""
    if batch is None:
        batch = next((arrays[t.name].shape[t.shape.index(-1)] for t in graph.inputs if -1 in t.shape), 1)
    values = {id(t): np.asarray(arrays[t.name], t.dtype) for t in graph.inputs}
    with np.errstate(all="ignore"):
        for node in graph.nodes():
            inputs = [t.value if t.is_constant else values[id(t)] for t in node.inputs]
            values[id(node.out)] = np.asarray(evaluate(node, inputs, batch)).astype(node.out.dtype)
    read = {name: t.value if t.is_constant else values[id(t)] for name, t in graph.outputs}
    return {name: np.broadcast_to(read[name], bind(t.shape, batch)) for name, t in graph.outputs}
