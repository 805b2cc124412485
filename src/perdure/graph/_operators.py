"""The operators of the graph: their names, and the shape and dtype that each one gives.

The names are part of the file formats of a graph: what one means never changes. A different meaning is another name.

Elementwise operators broadcast as numpy does. The others, with their attributes:

| operator | inputs | attributes |
|---|---|---|
| Cast | x | to |
| Clip | x | lo, hi: numbers, or arrays of x's rank |
| Reshape, Broadcast | x | shape |
| Transpose | x | perm |
| Concat | x... | axis |
| Slice | x | starts, sizes, steps: one for each axis |
| Pad | x | pads: (low, high) for each axis; value |
| Reduce | x | kind: sum, max, min, prod; axes; keep |
| ArgMax | x | axis; keep. The first of equals; a NaN counts as the largest |
| CumSum | x | axis, reverse |
| Softmax | x | axis |
| TopK | x | k, largest, index (positions or values); last axis; ties by position, a NaN counts as the largest |
| Gather | x, index | axis, batch_dims (0 or 1) |
| Dense | x[..., K], W[N, K], b[N]? | activation |
| MatMul | x[..., M, K], y[..., K, N] | |
| Conv | x, W[O, I, h, w], b[O]? | strides, pads, dilation, groups, activation, layout |
| Pool | x | kind: max, sum; window, strides, pads, layout |
| Quantize, Dequantize, ...Int8 | | in `int8` |
| Unsupported | | shape, dtype, message: an error only if an output needs it |
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from perdure._core import ExportError

from ._graph import Node, Shape, Tensor, broadcast_shapes

UNARY = frozenset(
    [
        "Neg",
        "Abs",
        "Sign",
        "Floor",
        "Ceil",
        "Round",
        "Exp",
        "Log",
        "Log1p",
        "Expm1",
        "Sqrt",
        "Tanh",
        "Sigmoid",
        "Relu",
        "Erf",
        "Not",
        "Sin",
        "Cos",
        "Tan",
        "Asin",
        "Acos",
        "Atan",
        "Sinh",
        "Cosh",
    ]
)
COMPARE = frozenset({"Eq", "Lt", "Le"})
BINARY = COMPARE | frozenset(["Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "Rem", "And", "Or"])
ELEMENTWISE = UNARY | BINARY | {"Where", "Clip", "Cast"}
CORRECTLY_ROUNDED = frozenset({"Add", "Sub", "Mul", "Div", "Sqrt"})  # in every runtime: IEEE 754 has them so
FITTED = frozenset(  # by each runtime in its own way, so that last digits differ
    {"Exp", "Log", "Log1p", "Expm1", "Tanh", "Sigmoid", "Erf", "Softmax", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan"}
    | {"Sinh", "Cosh", "Pow"}
)
FITTED_TO_ONE = frozenset({"Sigmoid", "Cos"})  # of them: with the digits of 1, however small the value
BINARY_INT8 = frozenset({"AddInt8", "SubInt8", "MulInt8"})
ACTIVATIONS = frozenset({"Relu", "Tanh", "Sigmoid"})
_IMAGE = ("strides", "pads", "layout")
_LAYER_INT8 = ("scales", "to", "activation")
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(sorted(UNARY | BINARY | {"Where", "MatMul"}), ()),
    "Cast": ("to",), "Clip": ("lo", "hi"), "Reshape": ("shape",), "Broadcast": ("shape",), "Transpose": ("perm",),
    "Concat": ("axis",), "Slice": ("starts", "sizes", "steps"), "Pad": ("pads", "value"),
    "Reduce": ("kind", "axes", "keep"), "ArgMax": ("axis", "keep"), "CumSum": ("axis", "reverse"), "Softmax": ("axis",),
    "TopK": ("k", "largest", "index"), "Gather": ("axis", "batch_dims"), "Dense": ("activation",),
    "Conv": (*_IMAGE, "dilation", "groups", "activation"), "Pool": (*_IMAGE, "kind", "window"),
    "Quantize": ("scales", "to"), "Dequantize": ("scales",), "DenseInt8": _LAYER_INT8,
    "ConvInt8": (*_IMAGE, "dilation", "groups", *_LAYER_INT8), "TableInt8": ("scales", "to", "kind"),
    **dict.fromkeys(sorted(BINARY_INT8), ("scales", "to")),
}  # fmt: skip
"""Every operator that can be run, with the names of its attributes."""


def emit(op: str, *inputs: Tensor, where: str = "", scope: str = "", **attrs: Any) -> Tensor:
    """Make a node; its output tensor with inferred shape and dtype."""
    node = Node(op, list(inputs), attrs, where, scope)
    shape, dtype = infer(node)
    node.out = Tensor(tuple(int(d) for d in shape), np.dtype(dtype), node=node)
    return node.out


def spatial_axes(layout: str) -> tuple[int, int]:
    return (1, 2) if layout == "NHWC" else (2, 3)


def channel_axis(layout: str) -> int:
    return 3 if layout == "NHWC" else 1


def kernel_size(node: Node) -> tuple[int, int]:
    """Height and width of the window of a Conv or Pool, dilation apart."""
    return tuple(node.inputs[1].shape[2:]) if "Conv" in node.op else tuple(node.attrs["window"])  # type: ignore[return-value]


def infer_image(node: Node) -> Shape:
    a, shape = node.attrs, node.inputs[0].shape
    kernel, dilation = kernel_size(node), a.get("dilation", (1, 1))
    out = list(shape)
    for i, axis in enumerate(spatial_axes(a["layout"])):
        reach = (kernel[i] - 1) * dilation[i] + 1
        out[axis] = (shape[axis] + sum(a["pads"][i]) - reach) // a["strides"][i] + 1
    if "Conv" in node.op:
        out[channel_axis(a["layout"])] = node.inputs[1].shape[0]
    return tuple(out)


def reduced(shape: Shape, axes: Sequence[int], keep: bool) -> Shape:
    if keep:
        return tuple(1 if i in axes else d for i, d in enumerate(shape))
    return tuple(d for i, d in enumerate(shape) if i not in axes)


def infer_matmul(x: Tensor, y: Tensor) -> Shape:
    if x.shape[-1] != y.shape[-2] or x.shape[:-2] != y.shape[:-2]:
        raise ExportError(f"cannot multiply {x.shape} by {y.shape}")
    return (*x.shape[:-1], y.shape[-1])


def infer(node: Node) -> tuple[Sequence[int], Any]:
    """Shape and dtype of the output."""
    a, x = node.attrs, node.inputs[0]
    shape = x.shape
    match node.op:
        case op if op in UNARY or op in ("Clip", "CumSum", "Softmax"):
            return shape, x.dtype
        case op if op in BINARY:
            return broadcast_shapes([t.shape for t in node.inputs]), bool if op in COMPARE else x.dtype
        case "Where":
            return broadcast_shapes([t.shape for t in node.inputs]), node.inputs[1].dtype
        case "Cast":
            return shape, a["to"]
        case "Reshape" | "Broadcast":
            return a["shape"], x.dtype
        case "Transpose":
            return [shape[p] for p in a["perm"]], x.dtype
        case "Concat":
            total = sum(t.shape[a["axis"]] for t in node.inputs)
            return [total if i == a["axis"] else d for i, d in enumerate(shape)], x.dtype
        case "Slice":
            return a["sizes"], x.dtype
        case "Pad":
            return [d + lo + hi for d, (lo, hi) in zip(shape, a["pads"], strict=True)], x.dtype
        case "Reduce":
            return reduced(shape, a["axes"], a["keep"]), x.dtype
        case "ArgMax":
            return reduced(shape, (a["axis"],), a["keep"]), np.int32
        case "TopK":
            return (*shape[:-1], a["k"]), np.int32 if a["index"] else x.dtype
        case "Gather":
            return (*shape[: a["axis"]], *node.inputs[1].shape[a["batch_dims"] :], *shape[a["axis"] + 1 :]), x.dtype
        case "Dense":
            return (*shape[:-1], node.inputs[1].shape[0]), x.dtype
        case "MatMul":
            return infer_matmul(*node.inputs), x.dtype
        case "Conv" | "ConvInt8" | "Pool":
            return infer_image(node), x.dtype
        case "Quantize" | "TableInt8":
            return shape, np.int8
        case "Dequantize":
            return shape, np.float32
        case "DenseInt8":
            return (*shape[:-1], node.inputs[1].shape[0]), np.int8
        case op if op in BINARY_INT8:
            return broadcast_shapes([t.shape for t in node.inputs]), np.int8
        case "Unsupported":
            return a["shape"], a["dtype"]
    raise ExportError(f"{node.where}: the graph has no operator {node.op!r}. Known: {', '.join(ATTRIBUTES)}.")
