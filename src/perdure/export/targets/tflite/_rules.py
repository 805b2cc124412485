"""How each operator of the graph is written in TFLite.

What LiteRT lacks shapes some rules: MAXIMUM, MINIMUM, EXP and the pooling operators lose NaN, there is no SELECT of
conditions, no EQUAL of them beside a broadcast, no erf, no remainder, and small integers have hardly any operators.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from perdure._core import ExportError
from perdure.graph import Node, Shape, Tensor

from .._writing import WriteRules, entry

if TYPE_CHECKING:
    from ._writer import Writer


WRITERS: WriteRules["Writer", None] = WriteRules("TFLite")
writes = WRITERS.writes
SAME = {
    "Add": "ADD", "Sub": "SUB", "Mul": "MUL", "Div": "DIV", "Pow": "POW", "And": "LOGICAL_AND", "Or": "LOGICAL_OR",
    "Lt": "LESS", "Le": "LESS_EQUAL", "Neg": "NEG", "Abs": "ABS", "Floor": "FLOOR", "Ceil": "CEIL", "Round": "ROUND",
    "Log": "LOG", "Sqrt": "SQRT", "Tanh": "TANH", "Sigmoid": "LOGISTIC", "Sin": "SIN", "Cos": "COS",
    "Not": "LOGICAL_NOT", "MatMul": "BATCH_MATMUL",
}  # fmt: skip
Pads = tuple[tuple[int, int], ...]


def refs(w: "Writer", node: Node) -> list[int]:
    return [w.ref(t) for t in node.inputs]


def check_number(node: Node) -> None:
    """Small integers have hardly any arithmetic in LiteRT; the few that policies need are cast first."""
    small = next((t.dtype for t in node.inputs if t.dtype in (np.dtype(np.int8), np.dtype(np.uint8))), None)
    if small is not None:
        raise ExportError(f"{node.where}: TFLite has no {node.op} of {small}. Cast to int32 or float32 first.")


@writes(*SAME)
def same(w: "Writer", node: Node) -> None:
    check_number(node)
    w.op(SAME[node.op], refs(w, node), node.out.shape, out=w.ref(node.out))


@writes("Relu")
def relu(w: "Writer", node: Node) -> None:
    check_number(node)
    x = node.inputs[0]
    if x.dtype == np.float32:
        w.op("RELU", [w.ref(x)], x.shape, out=w.ref(node.out))
    else:
        w.op("MAXIMUM", [w.ref(x), w.array(0, x.dtype)], x.shape, out=w.ref(node.out))


def keep_nan(w: "Writer", x: int, y: int, shape: Shape, out: int | None = None) -> int:
    """`y`, but NaN where `x` is."""
    return w.op("SELECT_V2", [w.op("NOT_EQUAL", [x, x], shape, bool), x, y], shape, out=out)


@writes("Sign")
def sign(w: "Writer", node: Node) -> None:
    """(x > 0) - (x < 0)"""
    check_number(node)
    x, shape, dtype = w.ref(node.inputs[0]), node.out.shape, node.out.dtype
    zero = w.array(0, dtype)
    sides = [w.op(kind, [x, zero], shape, bool) for kind in ("GREATER", "LESS")]
    plus, minus = (w.op("CAST", [s], shape, dtype, inDataType=w.type(bool), outDataType=w.type(dtype)) for s in sides)
    if dtype.kind == "f":
        keep_nan(w, x, w.op("SUB", [plus, minus], shape), shape, w.ref(node.out))
    else:
        w.op("SUB", [plus, minus], shape, out=w.ref(node.out))


def exponential(w: "Writer", x: int, shape: Shape, out: int | None = None) -> int:
    """LiteRT's own gives 0 for NaN."""
    return keep_nan(w, x, w.op("EXP", [x], shape), shape, out)


@writes("Exp")
def exp(w: "Writer", node: Node) -> None:
    exponential(w, w.ref(node.inputs[0]), node.out.shape, w.ref(node.out))


@writes("Max", "Min")
def extreme(w: "Writer", node: Node) -> None:
    """`a > b ? a : b` keeps a NaN of b, and of a if that is asked for; a constant goes first."""
    check_number(node)
    a, b = sorted(node.inputs, key=lambda t: not t.is_constant)
    shape = node.out.shape
    if a.dtype != np.float32:
        w.op("MAXIMUM" if node.op == "Max" else "MINIMUM", [w.ref(a), w.ref(b)], shape, out=w.ref(node.out))
        return
    is_first = w.op("GREATER" if node.op == "Max" else "LESS", [w.ref(a), w.ref(b)], shape, bool)
    if not a.is_constant:
        lost = w.op("NOT_EQUAL", [w.ref(a), w.ref(a)], a.shape, bool)
        is_first = w.op("LOGICAL_OR", [is_first, lost], shape, bool)
    w.op("SELECT_V2", [is_first, w.ref(a), w.ref(b)], shape, out=w.ref(node.out))


@writes("Clip")
def clip(w: "Writer", node: Node) -> None:
    check_number(node)
    x, shape, dtype = w.ref(node.inputs[0]), node.out.shape, node.out.dtype
    for key, kind, last in (("lo", "GREATER", False), ("hi", "LESS", True)):
        bound = w.array(node.attrs[key], dtype)
        out = w.ref(node.out) if last else None
        x = w.op("SELECT_V2", [w.op(kind, [bound, x], shape, bool), bound, x], shape, dtype, out)


@writes("Eq")
def equal(w: "Writer", node: Node) -> None:
    x = refs(w, node)
    if node.inputs[0].dtype == bool or node.inputs[0].dtype.itemsize == 1:
        x = [cast_to(w, i, t, np.int32) for i, t in zip(x, node.inputs, strict=True)]
    w.op("EQUAL", x, node.out.shape, out=w.ref(node.out))


def cast_to(w: "Writer", x: int, t: Tensor, dtype: DTypeLike) -> int:
    return w.op("CAST", [x], t.shape, dtype, inDataType=w.type(t.dtype), outDataType=w.type(dtype))


def series(w: "Writer", x: int, factors: tuple[float, ...], shape: Shape) -> int:
    """1 + f0 x (1 + f1 x (1 + ...))"""
    one = w.array(1, np.float32)
    total = one
    for factor in reversed(factors):
        total = w.op("MUL", [w.op("MUL", [x, w.array(factor, np.float32)], shape), total], shape)
        total = w.op("ADD", [total, one], shape)
    return total


def where_small(w: "Writer", x: int, limit: float, sides: list[int], shape: Shape, out: int) -> None:
    is_small = w.op("LESS", [w.op("ABS", [x], shape), w.array(limit, np.float32)], shape, bool)
    w.op("SELECT_V2", [is_small, *sides], shape, out=out)


@writes("Log1p")
def log1p(w: "Writer", node: Node) -> None:
    """log(1 + x) has lost the digits of a small x; 2 artanh(x / (2 + x)), as a series, keeps them."""
    x, shape = w.ref(node.inputs[0]), node.out.shape
    plain = w.op("LOG", [w.op("ADD", [x, w.array(1, np.float32)], shape)], shape)
    s = w.op("DIV", [x, w.op("ADD", [x, w.array(2, np.float32)], shape)], shape)
    terms = series(w, w.op("MUL", [s, s], shape), (1 / 3, 3 / 5, 5 / 7, 7 / 9), shape)
    small = w.op("MUL", [w.op("ADD", [s, s], shape), terms], shape)
    where_small(w, x, 0.3, [small, plain], shape, w.ref(node.out))


@writes("Expm1")
def expm1(w: "Writer", node: Node) -> None:
    """exp(x) - 1 has lost the digits of a small x; its series keeps them."""
    x, shape = w.ref(node.inputs[0]), node.out.shape
    plain = w.op("SUB", [exponential(w, x, shape), w.array(1, np.float32)], shape)
    terms = series(w, x, tuple(1 / k for k in range(2, 9)), shape)
    where_small(w, x, 0.5, [w.op("MUL", [x, terms], shape), plain], shape, w.ref(node.out))


@writes("Where")
def where(w: "Writer", node: Node) -> None:
    c, a, b = refs(w, node)
    shape = node.out.shape
    if node.out.dtype != bool:
        w.op("SELECT_V2", [c, a, b], shape, out=w.ref(node.out))
        return
    other = w.op("LOGICAL_NOT", [c], node.inputs[0].shape, bool)
    sides = [w.op("LOGICAL_AND", pair, shape, bool) for pair in ([c, a], [other, b])]
    w.op("LOGICAL_OR", sides, shape, out=w.ref(node.out))


def saturated(w: "Writer", x: int, shape: Shape, to: np.dtype, out: int) -> None:
    """A float as an integer, as JAX does: NaN is 0 and what is outside is the nearest. LiteRT leaves both open."""
    limits = np.iinfo(to)
    top = np.nextafter(np.float32(2**31), np.float32(0)) if to.itemsize == 4 else limits.max
    number = w.op("SELECT_V2", [w.op("NOT_EQUAL", [x, x], shape, bool), w.array(0, np.float32), x], shape)
    kept = w.op("MAXIMUM", [number, w.array(limits.min, np.float32)], shape)
    kept = w.op("MINIMUM", [kept, w.array(top, np.float32)], shape)
    types: dict[str, Any] = {"inDataType": w.type(np.float32), "outDataType": w.type(to)}
    if to.itemsize == 1:
        w.op("CAST", [kept], shape, out=out, **types)
        return
    whole = w.op("CAST", [kept], shape, to, **types)
    is_top = w.op("GREATER_EQUAL", [x, w.array(2**31, np.float32)], shape, bool)  # 2^31 - 1 is no float32
    w.op("SELECT_V2", [is_top, w.array(limits.max, to), whole], shape, out=out)


@writes("Cast")
def cast(w: "Writer", node: Node) -> None:
    x, to = node.inputs[0], np.dtype(node.attrs["to"])
    if x.dtype.kind == "f" and to.kind in "iu":
        saturated(w, w.ref(x), x.shape, to, w.ref(node.out))
    else:
        types: dict[str, Any] = {"inDataType": w.type(x.dtype), "outDataType": w.type(to)}
        w.op("CAST", [w.ref(x)], x.shape, out=w.ref(node.out), **types)


@writes("Reshape")
def reshape(w: "Writer", node: Node) -> None:
    shape = node.out.shape
    w.op("RESHAPE", [w.ref(node.inputs[0]), w.integers(shape)], shape, out=w.ref(node.out), newShape=list(shape))


@writes("Transpose")
def transpose(w: "Writer", node: Node) -> None:
    w.op("TRANSPOSE", [w.ref(node.inputs[0]), w.integers(node.attrs["perm"])], node.out.shape, out=w.ref(node.out))


@writes("Broadcast")
def broadcast(w: "Writer", node: Node) -> None:
    w.op("BROADCAST_TO", [w.ref(node.inputs[0]), w.integers(node.out.shape)], node.out.shape, out=w.ref(node.out))


@writes("Concat")
def concat(w: "Writer", node: Node) -> None:
    w.op("CONCATENATION", refs(w, node), node.out.shape, out=w.ref(node.out), axis=node.attrs["axis"])


@writes("Slice")
def cut(w: "Writer", node: Node) -> None:
    a = node.attrs
    ends = [start + count * step for start, count, step in zip(a["starts"], a["sizes"], a["steps"], strict=True)]
    open_ends = sum(1 << i for i, end in enumerate(ends) if end < 0)
    parts = [w.integers(v) for v in (a["starts"], [max(end, 0) for end in ends], a["steps"])]
    w.op("STRIDED_SLICE", [w.ref(node.inputs[0]), *parts], node.out.shape, out=w.ref(node.out), endMask=open_ends)


@writes("Pad")
def pad(w: "Writer", node: Node) -> None:
    x = node.inputs[0]
    amounts = w.integers(node.attrs["pads"])
    if w.has_scale(x):  # bytes of the int8 core: PAD gives their zero
        w.op("PAD", [w.ref(x), amounts], node.out.shape, out=w.ref(node.out))
        return
    value = w.array(node.attrs["value"], x.dtype)
    w.op("PADV2", [w.ref(x), amounts, value], node.out.shape, out=w.ref(node.out))


@writes("Reduce")
def reduce(w: "Writer", node: Node) -> None:
    check_number(node)
    kind = {"sum": "SUM"}.get(node.attrs["kind"], f"REDUCE_{node.attrs['kind'].upper()}")
    inputs = [w.ref(node.inputs[0]), w.integers(node.attrs["axes"])]
    w.op(kind, inputs, node.out.shape, out=w.ref(node.out), keepDims=bool(node.attrs["keep"]))


@writes("ArgMax")
def argmax(w: "Writer", node: Node) -> None:
    x, axis, out = node.inputs[0], node.attrs["axis"], w.ref(node.out)
    source = w.ref(x) if x.dtype != bool else cast_to(w, w.ref(x), x, np.int32)
    flat = tuple(d for i, d in enumerate(x.shape) if i != axis)
    inputs, kind = [source, w.integers(axis)], w.type(np.int32)
    if not node.attrs["keep"]:
        w.op("ARG_MAX", inputs, flat, out=out, outputType=kind)
        return
    position = w.op("ARG_MAX", inputs, flat, np.int32, outputType=kind)
    w.op("RESHAPE", [position, w.integers(node.out.shape)], node.out.shape, out=out, newShape=list(node.out.shape))


@writes("CumSum")
def cumsum(w: "Writer", node: Node) -> None:
    check_number(node)
    inputs = [w.ref(node.inputs[0]), w.integers(node.attrs["axis"])]
    w.op("CUMSUM", inputs, node.out.shape, out=w.ref(node.out), reverse=bool(node.attrs["reverse"]), exclusive=False)


@writes("Softmax")
def softmax(w: "Writer", node: Node) -> None:
    """LiteRT takes the last axis."""
    x, axis, shape, last = w.ref(node.inputs[0]), node.attrs["axis"], node.out.shape, node.out.rank - 1
    if axis in (last, -1):
        w.op("SOFTMAX", [x], shape, out=w.ref(node.out), beta=1.0)
        return
    order = [*(i for i in range(node.out.rank) if i != axis), axis]
    turned = tuple(shape[i] for i in order)
    y = w.op("SOFTMAX", [w.op("TRANSPOSE", [x, w.integers(order)], turned)], turned, beta=1.0)
    w.op("TRANSPOSE", [y, w.integers(np.argsort(order))], shape, out=w.ref(node.out))


@writes("TopK")
def top_k(w: "Writer", node: Node) -> None:
    """Ascending is descending of what is negated."""
    a, x, shape, out = node.attrs, node.inputs[0], node.out.shape, w.ref(node.out)
    source = w.ref(x) if a["largest"] else w.op("NEG", [w.ref(x)], x.shape, x.dtype)
    is_value = not a["index"]
    values = out if is_value and a["largest"] else w.tensor(shape, x.dtype)
    positions = w.tensor(shape, np.int32) if is_value else out
    w.op("TOPK_V2", [source, w.integers(a["k"])], shape, outs=[values, positions])
    if is_value and not a["largest"]:
        w.op("NEG", [values], shape, out=out)


@writes("Gather")
def gather(w: "Writer", node: Node) -> None:
    a = node.attrs
    w.op("GATHER", refs(w, node), node.out.shape, out=w.ref(node.out), axis=a["axis"], batchDims=a["batch_dims"])


def padded(w: "Writer", x: Tensor, pads: Pads, value: float) -> int:
    if not any(map(any, pads)):
        return w.ref(x)
    around = [(0, 0), *pads, (0, 0)]
    shape: Shape = tuple(d + sum(p) for d, p in zip(x.shape, around, strict=True))
    return w.op("PADV2", [w.ref(x), w.integers(around), w.array(value, np.float32)], shape)


@writes("Pool")
def pool(w: "Writer", node: Node) -> None:
    """A sum is a convolution of each channel with ones: LiteRT's average loses NaN."""
    a, is_max, shape = node.attrs, node.attrs["kind"] == "max", node.out.shape
    x = padded(w, node.inputs[0], a["pads"], -np.inf if is_max else 0.0)
    steps: dict[str, Any] = {"strideH": a["strides"][0], "strideW": a["strides"][1], "padding": w.schema.Padding.VALID}
    if is_max:
        window = {"filterHeight": a["window"][0], "filterWidth": a["window"][1]}
        w.op("MAX_POOL_2D", [x], shape, out=w.ref(node.out), **window, **steps)
        return
    ones, zeros = np.ones((1, *a["window"], shape[-1])), np.zeros(shape[-1])
    inputs = [x, w.array(ones, np.float32), w.array(zeros, np.float32)]
    settings: dict[str, Any] = {"depthMultiplier": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    w.op("DEPTHWISE_CONV_2D", inputs, shape, out=w.ref(node.out), **settings, **steps)


@writes("Dense", "Conv")
def linear(w: "Writer", node: Node) -> None:
    a, weight, shape, kind = node.attrs, node.inputs[1], node.out.shape, node.attrs["activation"]
    bias = w.ref(node.inputs[2]) if len(node.inputs) > 2 else w.array(np.zeros(weight.shape[0]), np.float32)
    out = w.ref(node.out) if kind in (None, "Relu") else None
    fused = w.schema.ActivationFunctionType.RELU if kind == "Relu" else w.schema.ActivationFunctionType.NONE
    if node.op == "Dense":
        inputs = [w.ref(node.inputs[0]), w.weight(weight, weight.value), bias]
        is_wide = len(shape) != 2
        y = w.op("FULLY_CONNECTED", inputs, shape, out=out, fusedActivationFunction=fused, keepNumDims=is_wide)
    else:
        if a["groups"] != 1:
            raise ExportError(f"{node.where}: LiteRT on a CPU runs no convolution in groups. Use one group.")
        kernel = w.weight(weight, weight.value.transpose(0, 2, 3, 1))
        steps = {"strideH": a["strides"][0], "strideW": a["strides"][1]}
        steps |= {"dilationHFactor": a["dilation"][0], "dilationWFactor": a["dilation"][1]}
        inputs = [padded(w, node.inputs[0], a["pads"], 0.0), kernel, bias]
        valid = w.schema.Padding.VALID
        y = w.op("CONV_2D", inputs, shape, out=out, padding=valid, fusedActivationFunction=fused, **steps)
    if out is None:
        w.op(entry(SAME, kind, "TFLite", node), [y], shape, out=w.ref(node.out))
