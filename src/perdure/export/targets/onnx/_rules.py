"""How each operator of the graph is written in ONNX.

What onnxruntime lacks shapes some rules: no Where on bool, no Less on bool, ArgMax and TopK give int64, GatherND wants
int64, Gemm takes matrices only, Clip bounds are numbers.
"""

from typing import TYPE_CHECKING

import numpy as np

from perdure.graph import Node, Tensor, size

from .._writing import WriteRules, entry

if TYPE_CHECKING:
    from ._write import Writer


WRITERS: WriteRules["Writer", None] = WriteRules("ONNX")
writes = WRITERS.writes
SAME = [
    "Neg",
    "Abs",
    "Sign",
    "Floor",
    "Ceil",
    "Round",
    "Exp",
    "Log",
    "Sqrt",
    "Tanh",
    "Sigmoid",
    "Sin",
    "Cos",
    "Tan",
    "Asin",
    "Acos",
    "Atan",
    "Sinh",
    "Cosh",
    "Erf",
    "Not",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Max",
    "Min",
    "Pow",
    "And",
    "Or",
]
ACTIVATIONS = {name: name for name in ("Relu", "Tanh", "Sigmoid")}
REDUCTIONS = {"max": "ReduceMax", "min": "ReduceMin", "prod": "ReduceProd"}


def refs(w: "Writer", node: Node) -> list[str]:
    return [w.ref(t) for t in node.inputs]


@writes(*SAME)
def same_name(w: "Writer", node: Node) -> None:
    w.op(node.op, *refs(w, node), out=node.out.name)


@writes("Eq", "Lt", "Le")
def comparison(w: "Writer", node: Node) -> None:
    names = refs(w, node)
    if node.inputs[0].dtype in (np.dtype(np.int8), np.dtype(np.uint8)):
        names = [w.cast(x, np.int32) for x in names]
    w.op({"Eq": "Equal", "Lt": "Less", "Le": "LessOrEqual"}[node.op], *names, out=node.out.name)


@writes("Relu")
def relu(w: "Writer", node: Node) -> None:
    x = node.inputs[0]
    if x.dtype == np.float32:
        w.op("Relu", w.ref(x), out=node.out.name)
    else:
        w.op("Max", w.ref(x), w.array(np.zeros((), x.dtype)), out=node.out.name)


@writes("Log1p")
def log1p(w: "Writer", node: Node) -> None:
    """log(u) x / (u - 1) with u = 1 + x keeps the digits of a small x, of which u has few (Kahan)."""
    x, one = w.ref(node.inputs[0]), w.array(np.float32(1))
    above = w.op("Add", x, one)
    rest, log = w.op("Sub", above, one), w.op("Log", above)
    scaled = w.op("Mul", log, w.op("Div", x, rest))
    small = w.op("Where", w.op("Equal", rest, w.array(np.float32(0))), x, scaled)
    w.op("Where", w.op("Equal", rest, x), log, small, out=node.out.name)


@writes("Expm1")
def expm1(w: "Writer", node: Node) -> None:
    """(u - 1) x / log(u) with u = exp(x) keeps the digits of a small x; of others u - 1 has enough."""
    x, one = w.ref(node.inputs[0]), w.array(np.float32(1))
    power = w.op("Exp", x)
    rest = w.op("Sub", power, one)
    scaled = w.op("Mul", rest, w.op("Div", x, w.op("Log", power)))
    small = w.op("Where", w.op("Equal", rest, w.array(np.float32(0))), x, scaled)
    is_small = w.op("Less", w.op("Abs", x), w.array(np.float32(0.5)))
    w.op("Where", is_small, small, rest, out=node.out.name)


@writes("Rem")
def remainder(w: "Writer", node: Node) -> None:
    w.op("Mod", *refs(w, node), out=node.out.name, fmod=1)


@writes("Where")
def where(w: "Writer", node: Node) -> None:
    c, a, b = refs(w, node)
    if node.out.dtype == bool:
        w.op("Or", w.op("And", c, a), w.op("And", w.op("Not", c), b), out=node.out.name)
    else:
        w.op("Where", c, a, b, out=node.out.name)


@writes("Clip")
def clip(w: "Writer", node: Node) -> None:
    limits = ["" if np.isinf(v) else w.array(np.float32(v)) for v in (node.attrs["lo"], node.attrs["hi"])]
    w.op("Clip", w.ref(node.inputs[0]), *(limits if limits[1] else limits[:1]), out=node.out.name)


def saturated(w: "Writer", x: Tensor, to: np.dtype, out: str) -> None:
    """A float as an integer, as JAX does: NaN is 0 and what is outside is the nearest. ONNX leaves both open."""
    limits, name = np.iinfo(to), w.ref(x)
    top = np.nextafter(np.float32(2**31), np.float32(0)) if to.itemsize == 4 else limits.max
    number = w.op("Where", w.op("Equal", name, name), name, w.array(np.float32(0)))
    kept = w.op("Clip", number, w.array(np.float32(limits.min)), w.array(np.float32(top)))
    whole = w.cast(kept, to, out if to.itemsize == 1 else None)
    if to.itemsize == 4:  # 2^31 - 1 is no float32
        is_top = w.op("LessOrEqual", w.array(np.float32(2**31)), name)
        w.op("Where", is_top, w.array(np.int32(limits.max)), whole, out=out)


@writes("Cast")
def cast(w: "Writer", node: Node) -> None:
    x, to = node.inputs[0], np.dtype(node.attrs["to"])
    if x.dtype.kind == "f" and to.kind in "iu":
        saturated(w, x, to, node.out.name)
    else:
        w.cast(w.ref(x), to, node.out.name)


@writes("Reshape")
def reshape(w: "Writer", node: Node) -> None:
    w.op("Reshape", w.ref(node.inputs[0]), w.integers([max(d, -1) for d in node.out.shape]), out=node.out.name)


@writes("Broadcast")
def broadcast(w: "Writer", node: Node) -> None:
    w.expand(w.ref(node.inputs[0]), node.inputs[0].shape, node.out.shape, node.out.name)


@writes("Transpose")
def transpose(w: "Writer", node: Node) -> None:
    w.op("Transpose", w.ref(node.inputs[0]), out=node.out.name, perm=node.attrs["perm"])


@writes("Concat")
def concat(w: "Writer", node: Node) -> None:
    w.op("Concat", *refs(w, node), out=node.out.name, axis=node.attrs["axis"])


@writes("Slice")
def slice_(w: "Writer", node: Node) -> None:
    a, x = node.attrs, node.inputs[0]
    axes = [i for i in range(x.rank) if a["sizes"][i] != x.shape[i] or a["steps"][i] != 1]
    ends = [a["starts"][i] + a["sizes"][i] * a["steps"][i] for i in axes]
    ends = [e if e >= 0 else -(2**31) for e in ends]  # a negative step stops before the first entry
    starts, steps = [a["starts"][i] for i in axes], [a["steps"][i] for i in axes]
    w.op("Slice", w.ref(x), *map(w.integers, (starts, ends, axes, steps)), out=node.out.name)


@writes("Pad")
def pad(w: "Writer", node: Node) -> None:
    x, pads = node.inputs[0], node.attrs["pads"]
    name = w.ref(x)
    is_flag = x.dtype == bool
    if is_flag:
        name = w.cast(name, np.int32)
    value = w.array(np.asarray(node.attrs["value"], np.int32 if is_flag else x.dtype))
    amounts = w.integers([lo for lo, _ in pads] + [hi for _, hi in pads])
    y = w.op("Pad", name, amounts, value, out=None if is_flag else node.out.name)
    if is_flag:
        w.cast(y, bool, node.out.name)


@writes("Reduce")
def reduce(w: "Writer", node: Node) -> None:
    a, x = node.attrs, node.inputs[0]
    keep = int(a["keep"])
    absolute = x.node
    if absolute is not None and w.is_absolute_sum(node):
        w.op("ReduceL1", w.ref(absolute.inputs[0]), out=node.out.name, axes=a["axes"], keepdims=keep)
    elif a["kind"] == "sum":
        w.op("ReduceSum", w.ref(x), w.integers(a["axes"]), out=node.out.name, keepdims=keep)
    else:
        w.op(entry(REDUCTIONS, a["kind"], "ONNX", node), w.ref(x), out=node.out.name, axes=a["axes"], keepdims=keep)


@writes("ArgMax")
def argmax(w: "Writer", node: Node) -> None:
    position = w.op("ArgMax", w.ref(node.inputs[0]), axis=node.attrs["axis"], keepdims=int(node.attrs["keep"]))
    w.cast(position, np.int32, node.out.name)


@writes("CumSum")
def cumsum(w: "Writer", node: Node) -> None:
    axis = w.array(np.int64(node.attrs["axis"]))
    w.op("CumSum", w.ref(node.inputs[0]), axis, out=node.out.name, reverse=int(node.attrs["reverse"]))


@writes("Softmax")
def softmax(w: "Writer", node: Node) -> None:
    w.op("Softmax", w.ref(node.inputs[0]), out=node.out.name, axis=node.attrs["axis"])


@writes("TopK")
def top_k(w: "Writer", node: Node) -> None:
    a, x = node.attrs, w.ref(node.inputs[0])
    key = (x, a["k"], a["largest"])
    values, positions = w.pair(key, "TopK", x, w.integers([a["k"]]), largest=int(a["largest"]), sorted=1)
    if a["index"]:
        w.cast(positions, np.int32, node.out.name)
    else:
        w.op("Identity", values, out=node.out.name)


@writes("Gather")
def gather(w: "Writer", node: Node) -> None:
    x, index = node.inputs
    if node.attrs["batch_dims"] == 0:
        w.op("Gather", *refs(w, node), out=node.out.name, axis=node.attrs["axis"])
        return
    positions = w.cast(w.ref(index), np.int64)
    positions = w.op("Reshape", positions, w.integers([*(max(d, -1) for d in index.shape), 1]))
    data = w.ref(x)
    if x.is_constant or index.is_constant:  # GatherND wants the batch axis on both
        data = w.expand(data, x.shape, (*node.out.shape[:1], *x.shape[1:])) if x.is_constant else data
    w.op("GatherND", data, positions, out=node.out.name, batch_dims=1)


@writes("Dense")
def dense(w: "Writer", node: Node) -> None:
    x, weight, *bias = node.inputs
    act = node.attrs["activation"]
    out = node.out.name if act is None else None
    if x.rank == 2:
        y = w.op("Gemm", *refs(w, node), out=out, transB=1)
    else:  # Gemm takes matrices only
        turned = w.array(weight.value.T, f"{weight.name}_T")
        y = w.op("MatMul", w.ref(x), turned, out=None if bias else out)
        y = w.op("Add", y, w.ref(bias[0]), out=out) if bias else y
    if act is not None:
        w.op(entry(ACTIVATIONS, act, "ONNX", node), y, out=node.out.name)


@writes("MatMul")
def matmul(w: "Writer", node: Node) -> None:
    w.op("MatMul", *refs(w, node), out=node.out.name)


def image_pads(node: Node) -> tuple[int, ...]:
    pads = node.attrs["pads"]
    return (*(lo for lo, _ in pads), *(hi for _, hi in pads))


@writes("Conv")
def convolution(w: "Writer", node: Node) -> None:
    a = node.attrs
    y = w.op(
        "Conv",
        *refs(w, node),
        out=node.out.name if a["activation"] is None else None,
        strides=a["strides"],
        pads=image_pads(node),
        dilations=a["dilation"],
        group=a["groups"],
    )
    if a["activation"] is not None:
        w.op(entry(ACTIVATIONS, a["activation"], "ONNX", node), y, out=node.out.name)


@writes("Pool")
def pool(w: "Writer", node: Node) -> None:
    """ONNX wants each pad below the window, and its AveragePool counts what the padding covers; so pad apart."""
    a, x = node.attrs, w.ref(node.inputs[0])
    pads, window, shape = image_pads(node), a["window"], {"kernel_shape": a["window"], "strides": a["strides"]}
    if any(max(pad) >= k for pad, k in zip(a["pads"], window, strict=True)):
        fill = np.float32(-np.inf if a["kind"] == "max" else 0)
        amounts = w.integers([0, 0, *(lo for lo, _ in a["pads"]), 0, 0, *(hi for _, hi in a["pads"])])
        x, pads = w.op("Pad", x, amounts, w.array(fill)), (0, 0, 0, 0)
    if a["kind"] == "max":
        w.op("MaxPool", x, out=node.out.name, pads=pads, **shape)
    else:
        mean = w.op("AveragePool", x, count_include_pad=1, pads=pads, **shape)
        w.op("Mul", mean, w.array(np.float32(size(window))), out=node.out.name)
