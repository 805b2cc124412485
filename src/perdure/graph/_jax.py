"""The graph in JAX: it answers as the numpy reference does, can be jitted with any batch, and differentiated.

Products are asked for in full float32: a GPU or TPU would otherwise round their inputs to fewer digits. Gradients are those of
the functions of `jax.nn` that an operator stands for: 0 for Relu at 0, and those of Softmax also where scores are equal.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from perdure._core import ExportError

from . import _jax_int8
from ._graph import Graph, Node, Shape
from ._operators import kernel_size

FULL = lax.Precision.HIGHEST
Array = jax.Array  # or a constant of numpy, which JAX takes as well


def integer_or(whole: Callable[..., Array], other: Callable[..., Array]) -> Callable[..., Array]:
    return lambda a, b: (other if a.dtype.kind == "f" else whole)(*jnp.broadcast_arrays(a, b))


@jax.custom_jvp
def relu(x: Array) -> jax.Array:
    return jnp.maximum(x, 0)


@relu.defjvp
def relu_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    return relu(x), jnp.where(x > 0, dx, 0)


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "Neg": jnp.negative, "Abs": jnp.abs, "Sign": jnp.sign, "Floor": jnp.floor, "Ceil": jnp.ceil, "Round": jnp.rint,
    "Exp": jnp.exp, "Log": jnp.log, "Log1p": jnp.log1p, "Expm1": jnp.expm1, "Sqrt": jnp.sqrt, "Tanh": jnp.tanh,
    "Sigmoid": jax.nn.sigmoid, "Relu": relu, "Erf": jax.scipy.special.erf,
    "Not": jnp.logical_not, "Sin": jnp.sin, "Cos": jnp.cos, "Tan": jnp.tan, "Asin": jnp.arcsin, "Acos": jnp.arccos,
    "Atan": jnp.arctan, "Sinh": jnp.sinh, "Cosh": jnp.cosh, "Add": jnp.add, "Sub": jnp.subtract, "Mul": jnp.multiply,
    "Div": integer_or(lax.div, jnp.divide), "Max": jnp.maximum, "Min": jnp.minimum, "Pow": jnp.power,
    "Rem": integer_or(lax.rem, lax.rem), "And": jnp.logical_and, "Or": jnp.logical_or, "Eq": jnp.equal,
    "Lt": jnp.less, "Le": jnp.less_equal, "Where": jnp.where,
}  # fmt: skip


def activate(y: Array, activation: str | None) -> Array:
    return y if activation is None else FUNCTIONS[activation](y)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def softmax(x: Array, axis: int) -> jax.Array:
    """XLA fuses a product before it with the subtraction, which is then not exact: the largest of huge scores is not 0."""
    most = x.max(axis, keepdims=True)
    below = jnp.where((x == most) & jnp.isfinite(most), 0.0, jnp.minimum(x - most, 0.0))
    y = jnp.exp(below)
    return y / y.sum(axis, keepdims=True)


@softmax.defjvp
def softmax_jvp(axis: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    y = softmax(x, axis)
    return y, y * (dx - (y * dx).sum(axis, keepdims=True))


def top_k(x: Array, k: int, largest: bool, index: bool) -> Array:
    """A stable order with NaN as the largest; descending is ascending on the mirrored row."""
    if largest:
        order = x.shape[-1] - 1 - jnp.argsort(x[..., ::-1], axis=-1, stable=True)[..., ::-1]
    else:
        order = jnp.argsort(x, axis=-1, stable=True)
    order = order[..., :k]
    return order if index else jnp.take_along_axis(x, order, -1)


def gather(x: Array, index: Array, axis: int, batch_dims: int) -> Array:
    if batch_dims == 0:
        return jnp.take(x, index, axis=axis, mode="clip")
    return jax.vmap(lambda row, i: jnp.take(row, i, axis=axis - 1, mode="clip"))(x, index)


def cut(x: Array, a: dict[str, Any]) -> Array:
    """A slice; an axis of the batch is always whole, and a negative step may go on to the first entry."""
    parts = []
    for start, count, step in zip(a["starts"], a["sizes"], a["steps"], strict=True):
        stop = start + count * step
        parts.append(slice(None) if count < 0 else slice(start, None if stop < 0 else stop, step))
    return x[tuple(parts)]


def image(node: Node, x: Array, *weights: Array) -> Array:
    a, layout = node.attrs, node.attrs["layout"]
    if node.op == "Conv":
        y = lax.conv_general_dilated(
            x,
            weights[0],
            a["strides"],
            a["pads"],
            rhs_dilation=a["dilation"],
            dimension_numbers=(layout, "OIHW", layout),
            feature_group_count=a["groups"],
            precision=FULL,
        )
        shape = (1, -1, 1, 1) if layout == "NCHW" else (1, 1, 1, -1)
        return activate(y + weights[1].reshape(shape) if len(weights) > 1 else y, a["activation"])
    around = {"NCHW": lambda v, other: (other, other, *v), "NHWC": lambda v, other: (other, *v, other)}[layout]
    least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    start, combine = (least, lax.max) if a["kind"] == "max" else (0, lax.add)
    window, strides = around(kernel_size(node), 1), around(a["strides"], 1)
    return lax.reduce_window(x, np.asarray(start, x.dtype), combine, window, strides, around(a["pads"], (0, 0)))


def evaluate(node: Node, x: list[Array], bind: Callable[[Shape], Any]) -> Array:
    """One node; `bind` gives a shape its batch."""
    a = node.attrs
    match node.op:
        case op if op in FUNCTIONS:
            return FUNCTIONS[op](*x)
        case "Clip":
            return jnp.minimum(jnp.maximum(x[0], a["lo"]), a["hi"])
        case "Cast":
            # XLA makes a product with a cast bool a selection, which hides the NaN of 0 * NaN
            cast = x[0].astype(a["to"])
            return lax.optimization_barrier(cast) if x[0].dtype == bool else cast
        case "Reshape":
            return jnp.reshape(x[0], bind(a["shape"]))
        case "Broadcast":
            return jnp.broadcast_to(x[0], bind(a["shape"]))
        case "Transpose":
            return jnp.transpose(x[0], a["perm"])
        case "Concat":
            return jnp.concatenate(x, a["axis"])
        case "Slice":
            return cut(x[0], a)
        case "Pad":
            return jnp.pad(x[0], a["pads"], constant_values=a["value"])
        case "Reduce":
            return getattr(jnp, a["kind"])(x[0], axis=tuple(a["axes"]), keepdims=a["keep"])
        case "ArgMax":
            return jnp.argmax(x[0], axis=a["axis"], keepdims=a["keep"])
        case "CumSum":
            return lax.cumsum(x[0], a["axis"], reverse=bool(a["reverse"]))
        case "Softmax":
            return softmax(x[0], a["axis"])
        case "TopK":
            return top_k(x[0], a["k"], a["largest"], a["index"])
        case "Gather":
            return gather(x[0], x[1], a["axis"], a["batch_dims"])
        case "Dense":
            y = jnp.matmul(x[0], x[1].T, precision=FULL)
            return activate(y + x[2] if len(x) > 2 else y, a["activation"])
        case "MatMul":
            return jnp.matmul(x[0], x[1], precision=FULL)
        case "Conv" | "Pool":
            return image(node, *x)
        case op if op in _jax_int8.FUNCTIONS:
            return _jax_int8.FUNCTIONS[op](node, *x)
    raise ExportError(f"{node.where}: the operator {node.op} cannot be run in JAX. Write it with other operators.")


def in_jax(graph: Graph) -> Callable[[Mapping[str, ArrayLike]], dict[str, jax.Array]]:
    """The graph as a function of inputs by name that JAX can trace, its batch symbolic or not."""

    def function(inputs: Mapping[str, ArrayLike]) -> dict[str, jax.Array]:
        values: dict[int, Array] = {id(t): jnp.asarray(inputs[t.name]) for t in graph.inputs}
        batch = next((values[id(t)].shape[t.shape.index(-1)] for t in graph.inputs if -1 in t.shape), 1)

        def bind(shape: Shape) -> tuple[Any, ...]:
            return tuple(d if d >= 0 else -d * batch for d in shape)

        for node in graph.nodes():
            given = [t.value if t.is_constant else values[id(t)] for t in node.inputs]
            values[id(node.out)] = evaluate(node, given, bind).astype(node.out.dtype)
        read = {name: (t.value if t.is_constant else values[id(t)], t) for name, t in graph.outputs}
        return {name: jnp.broadcast_to(value, bind(t.shape)).astype(t.dtype) for name, (value, t) in read.items()}

    return function
