"""How each operator of the graph is written in TF.js.

What TF.js lacks shapes some rules: its sign of NaN is 0, there are no integers of 8 bits, floats wrap around when they
become integers, division of integers rounds down, the remainder is that of a division that rounds down.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from perdure.graph import Node, Tensor

from .._writing import WriteRules, entry

if TYPE_CHECKING:
    from ._writer import Writer


WRITERS: WriteRules["Writer", None] = WriteRules("TF.js")
writes = WRITERS.writes
FLOAT, INT, FLAG = np.dtype(np.float32), np.dtype(np.int32), np.dtype(bool)
SAME = {
    "Add": "AddV2", "Sub": "Sub", "Mul": "Mul", "Max": "Maximum", "Min": "Minimum", "Pow": "Pow", "And": "LogicalAnd",
    "Or": "LogicalOr", "Not": "LogicalNot", "Eq": "Equal", "Lt": "Less", "Le": "LessEqual", "Neg": "Neg",
    "Abs": "Abs", "Floor": "Floor", "Ceil": "Ceil", "Round": "Round", "Exp": "Exp", "Log": "Log", "Log1p": "Log1p",
    "Expm1": "Expm1", "Sqrt": "Sqrt", "Tanh": "Tanh", "Sigmoid": "Sigmoid", "Erf": "Erf", "Sin": "Sin", "Cos": "Cos",
    "Tan": "Tan", "Asin": "Asin", "Acos": "Acos", "Atan": "Atan", "Sinh": "Sinh", "Cosh": "Cosh",
    "MatMul": "BatchMatMulV2",
}  # fmt: skip
REDUCTIONS = {"sum": "Sum", "max": "Max", "min": "Min", "prod": "Prod"}


def refs(w: "Writer", node: Node) -> list[str]:
    return [w.ref(t) for t in node.inputs]


def wrapped(w: "Writer", x: str, dtype: DTypeLike, out: str | None) -> str:
    """An int32 into the range of a smaller integer, as numbers of that size wrap around."""
    low = int(np.iinfo(dtype).min)
    moved = w.op("Sub", x, w.integers(low), T=INT) if low else x
    kept = w.op("FloorMod", moved, w.integers(256), T=INT, out=None if low else out)
    return w.op("AddV2", kept, w.integers(low), T=INT, out=out) if low else kept


def number(w: "Writer", node: Node, kind: str, *inputs: str, **attrs: Any) -> None:
    """An operator of numbers, which wraps around where they have 8 bits."""
    dtype = node.out.dtype
    if dtype.kind in "iu" and dtype.itemsize == 1:
        wrapped(w, w.op(kind, *inputs, **attrs), dtype, node.out.name)
    else:
        w.op(kind, *inputs, out=node.out.name, **attrs)


@writes(*SAME)
def same(w: "Writer", node: Node) -> None:
    number(w, node, SAME[node.op], *refs(w, node), T=node.inputs[0].dtype)


@writes("Relu")
def relu(w: "Writer", node: Node) -> None:
    x = node.inputs[0]
    w.op("Maximum", w.ref(x), w.array(0, x.dtype), out=node.out.name, T=x.dtype)


@writes("Sign")
def sign(w: "Writer", node: Node) -> None:
    """TF.js gives 0 for NaN."""
    x, dtype = w.ref(node.inputs[0]), node.out.dtype
    if dtype.kind != "f":
        w.op("Sign", x, out=node.out.name, T=dtype)
        return
    w.op("SelectV2", w.op("Equal", x, x, T=dtype), w.op("Sign", x, T=dtype), x, out=node.out.name, T=dtype)


@writes("Clip")
def clip(w: "Writer", node: Node) -> None:
    dtype = node.out.dtype
    lo, hi = (w.array(node.attrs[key], dtype) for key in ("lo", "hi"))
    w.op("Minimum", w.op("Maximum", w.ref(node.inputs[0]), lo, T=dtype), hi, out=node.out.name, T=dtype)


def truncated_quotient(w: "Writer", a: str, b: str) -> str:
    """Of integers: that of a division that rounds down, one more where it is negative and has a rest."""
    zero = w.integers(0)
    quotient = w.op("FloorDiv", a, b, T=INT)
    rest = w.op("Sub", a, w.op("Mul", quotient, b, T=INT), T=INT)
    has_rest = w.op("NotEqual", rest, zero, T=INT)
    signs = [w.op("Cast", w.op("Less", x, zero, T=INT), SrcT=FLAG, DstT=INT) for x in (a, b)]
    is_negative = w.op("NotEqual", *signs, T=INT)
    more = w.op("Cast", w.op("LogicalAnd", has_rest, is_negative), SrcT=FLAG, DstT=INT)
    return w.op("AddV2", quotient, more, T=INT)


@writes("Div")
def divide(w: "Writer", node: Node) -> None:
    """Integers as in JAX: towards zero, and -1 by zero."""
    a, b = refs(w, node)
    if node.out.dtype == FLOAT:
        w.op("RealDiv", a, b, out=node.out.name, T=FLOAT)
        return
    by_zero = w.op("Equal", b, w.integers(0), T=INT)
    answer = w.op("SelectV2", by_zero, w.integers(-1), truncated_quotient(w, a, b), T=INT)
    number(w, node, "Identity", answer, T=INT)


@writes("Rem")
def remainder(w: "Writer", node: Node) -> None:
    """With the sign of the first."""
    a, b = refs(w, node)
    if node.out.dtype == FLOAT:
        rest = w.op("FloorMod", w.op("Abs", a, T=FLOAT), w.op("Abs", b, T=FLOAT), T=FLOAT)
        w.op("Mul", w.op("Sign", a, T=FLOAT), rest, out=node.out.name, T=FLOAT)
    else:
        number(w, node, "Sub", a, w.op("Mul", truncated_quotient(w, a, b), b, T=INT), T=INT)


@writes("Where")
def where(w: "Writer", node: Node) -> None:
    w.op("SelectV2", *refs(w, node), out=node.out.name, T=node.out.dtype)


@writes("Cast")
def cast(w: "Writer", node: Node) -> None:
    """As JAX: a float saturates and NaN becomes 0, an integer wraps around."""
    x, to, out = node.inputs[0], np.dtype(node.attrs["to"]), node.out.name
    source, dtype = w.ref(x), x.dtype
    if dtype.kind == "f" and to.kind in "iu":
        limits = np.iinfo(to)
        low, high = w.array(limits.min), w.array(limits.max)
        kept = w.op("Minimum", w.op("Maximum", source, low, T=FLOAT), high, T=FLOAT)
        whole = w.op("Cast", kept, SrcT=FLOAT, DstT=INT, out=out if to != INT else None)
        if to == INT:  # 2^31 - 1 is no float32, and what is above it would become negative
            is_top = w.op("LessEqual", high, source, T=FLOAT)
            w.op("SelectV2", is_top, w.integers(limits.max), whole, out=out, T=INT)
    elif dtype.kind in "iu" and to.kind in "iu" and to.itemsize == 1:
        wrapped(w, source, to, out)
    else:
        w.op("Cast", source, SrcT=dtype, DstT=to, out=out)


@writes("Reshape")
def reshape(w: "Writer", node: Node) -> None:
    w.op("Reshape", w.ref(node.inputs[0]), w.integers([max(d, -1) for d in node.out.shape]), out=node.out.name)


@writes("Transpose")
def transpose(w: "Writer", node: Node) -> None:
    w.op("Transpose", w.ref(node.inputs[0]), w.integers(node.attrs["perm"]), out=node.out.name)


@writes("Broadcast")
def broadcast(w: "Writer", node: Node) -> None:
    w.op("BroadcastTo", w.ref(node.inputs[0]), w.shape(node.out.shape), out=node.out.name)


@writes("Concat")
def concat(w: "Writer", node: Node) -> None:
    w.op("ConcatV2", *refs(w, node), w.integers(node.attrs["axis"]), out=node.out.name, N=len(node.inputs))


@writes("Slice")
def cut(w: "Writer", node: Node) -> None:
    a = node.attrs
    ends = [start + count * step for start, count, step in zip(a["starts"], a["sizes"], a["steps"], strict=True)]
    is_open = [end < 0 or count < 0 for end, count in zip(ends, a["sizes"], strict=True)]
    mask = sum(1 << i for i, is_last in enumerate(is_open) if is_last)
    ends = [0 if is_last else end for end, is_last in zip(ends, is_open, strict=True)]
    parts = map(w.integers, (a["starts"], ends, a["steps"]))
    w.op("StridedSlice", w.ref(node.inputs[0]), *parts, out=node.out.name, end_mask=mask)


@writes("Pad")
def pad(w: "Writer", node: Node) -> None:
    x, is_flag = node.inputs[0], node.out.dtype == FLAG
    source = w.op("Cast", w.ref(x), SrcT=FLAG, DstT=INT) if is_flag else w.ref(x)
    value = w.array(node.attrs["value"], INT if is_flag else x.dtype)
    made = w.op("PadV2", source, w.integers(node.attrs["pads"]), value, out=None if is_flag else node.out.name)
    if is_flag:
        w.op("Cast", made, SrcT=INT, DstT=FLAG, out=node.out.name)


@writes("Reduce")
def reduce(w: "Writer", node: Node) -> None:
    inputs = (w.ref(node.inputs[0]), w.integers(node.attrs["axes"]))
    number(w, node, entry(REDUCTIONS, node.attrs["kind"], "TF.js", node), *inputs, keep_dims=bool(node.attrs["keep"]))


@writes("ArgMax")
def argmax(w: "Writer", node: Node) -> None:
    x, keep = node.inputs[0], node.attrs["keep"]
    source = w.op("Cast", w.ref(x), SrcT=FLAG, DstT=INT) if x.dtype == FLAG else w.ref(x)
    position = w.op("ArgMax", source, w.integers(node.attrs["axis"]), out=None if keep else node.out.name)
    if keep:
        w.op("Reshape", position, w.integers([max(d, -1) for d in node.out.shape]), out=node.out.name)


@writes("CumSum")
def cumsum(w: "Writer", node: Node) -> None:
    axis = w.integers(node.attrs["axis"])
    number(w, node, "Cumsum", w.ref(node.inputs[0]), axis, exclusive=False, reverse=bool(node.attrs["reverse"]))


@writes("Softmax")
def softmax(w: "Writer", node: Node) -> None:
    """TF.js takes the last axis."""
    x, axis, last = w.ref(node.inputs[0]), node.attrs["axis"], node.out.rank - 1
    if axis in (last, -1):
        w.op("Softmax", x, out=node.out.name)
        return
    order = [*(i for i in range(last + 1) if i != axis), axis]
    made = w.op("Softmax", w.op("Transpose", x, w.integers(order)))
    w.op("Transpose", made, w.integers(np.argsort(order)), out=node.out.name)


@writes("TopK")
def top_k(w: "Writer", node: Node) -> None:
    """Ascending is descending of what is negated."""
    a, x = node.attrs, node.inputs[0]
    source = w.ref(x) if a["largest"] else w.op("Neg", w.ref(x), T=x.dtype)
    found = w.op("TopKV2", source, w.integers(a["k"]), sorted=True)
    if a["index"]:
        w.op("Identity", f"{found}:1", out=node.out.name)
    else:
        w.op("Identity" if a["largest"] else "Neg", found, out=node.out.name)


@writes("Gather")
def gather(w: "Writer", node: Node) -> None:
    x, index = node.inputs
    axis, is_batched = node.attrs["axis"], node.attrs["batch_dims"] > 0
    names = refs(w, node)
    if is_batched:  # both must have the batch axis then
        names = [with_batch(w, name, t, node.out) for name, t in zip(names, (x, index), strict=True)]
    w.op("GatherV2", *names, w.integers(axis), out=node.out.name, batch_dims=node.attrs["batch_dims"])


def with_batch(w: "Writer", name: str, t: Tensor, out: Tensor) -> str:
    if t.shape[0] == out.shape[0]:
        return name
    return w.op("BroadcastTo", name, w.shape((out.shape[0], *t.shape[1:])))
