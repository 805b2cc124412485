"""The graph on numpy arrays: the reference for every writer. It agrees with JAX, not-a-numbers included."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from perdure._core import ExportError

from . import array_functions as functions, int8
from ._graph import Graph, Node, bind
from ._operators import BINARY, UNARY

Array = Any  # a numpy array, or a numpy number where no axis is left


def divide(a: Array, b: Array) -> Array:
    return a / b if a.dtype.kind == "f" else functions.divide(a, b)


def remainder(a: Array, b: Array) -> Array:
    return np.fmod(a, b) if a.dtype.kind == "f" else functions.remainder(a, b)


def cast(x: Array, to: DTypeLike) -> Array:
    to = np.dtype(to)
    return functions.saturate(x, str(to)) if x.dtype.kind == "f" and to.kind in "iu" else x.astype(to)


UNARY_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "Neg": np.negative, "Abs": np.abs, "Sign": np.sign, "Floor": np.floor, "Ceil": np.ceil, "Round": np.rint,
    "Exp": np.exp, "Log": np.log, "Log1p": np.log1p, "Expm1": np.expm1, "Sqrt": np.sqrt, "Tanh": np.tanh,
    "Sigmoid": functions.sigmoid, "Relu": lambda x: np.maximum(x, 0), "Erf": functions.erf,
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


def image(node: Node, x: Array, *weights: Array) -> Array:
    a = node.attrs
    is_last = a["layout"] == "NHWC"
    last = x if is_last else np.moveaxis(x, 1, -1)
    if node.op == "Pool":
        y = functions.pool(last, a["kind"], a["window"], a["strides"], a["pads"])
    else:
        y = functions.convolve(last, weights[0], a["strides"], a["pads"], a["dilation"], a["groups"])
        y = activate(y + (weights[1] if len(weights) > 1 else 0), a["activation"])
    return y if is_last else np.moveaxis(y, -1, 1)


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
            return functions.strided(x[0], a["starts"], bind(a["sizes"], batch), a["steps"])
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
            return functions.softmax(x[0], a["axis"])
        case "TopK":
            return functions.top_k(x[0], a["k"], a["largest"], a["index"])
        case "Gather":
            take = np.take if a["batch_dims"] == 0 else functions.gather_rows
            return take(x[0], x[1], axis=a["axis"])
        case "Dense":
            return activate(x[0] @ x[1].T + (x[2] if len(x) > 2 else 0), a["activation"])
        case "MatMul":
            return x[0] @ x[1]
        case "Conv" | "Pool":
            return image(node, *x)
        case op if op in int8.FUNCTIONS:
            return int8.FUNCTIONS[op](node, *x)
    raise ExportError(f"{node.where}: the operator {node.op} cannot be run. Write it with other operators.")


Evaluate = Callable[[Node, list[Array], int], Array]


def interpret(
    graph: Graph, arrays: dict[str, Array], batch: int | None = None, value_of: Evaluate = evaluate
) -> dict[str, Array]:
    """The outputs for inputs by name; `batch` is needed only where no input has a batch axis.

    `value_of` computes each node from its inputs: `evaluate`, or one that looks on or answers otherwise.
    """
    if batch is None:
        batch = next((arrays[t.name].shape[t.shape.index(-1)] for t in graph.inputs if -1 in t.shape), 1)
    values = {id(t): np.asarray(arrays[t.name], t.dtype) for t in graph.inputs}
    with np.errstate(all="ignore"):
        for node in graph.nodes():
            inputs = [t.value if t.is_constant else values[id(t)] for t in node.inputs]
            values[id(node.out)] = np.asarray(value_of(node, inputs, batch)).astype(node.out.dtype)
    read = {name: t.value if t.is_constant else values[id(t)] for name, t in graph.outputs}
    return {name: np.broadcast_to(read[name], bind(t.shape, batch)) for name, t in graph.outputs}
