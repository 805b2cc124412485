"""How each operator of the graph is computed in PyTorch, so that tracing leaves the batch open.

Where PyTorch parts from JAX: `sign` loses NaN, a float becomes an integer in no defined way, integer division by zero is
an error, a slice has no negative step.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import DTypeLike

from perdure.graph import Node, kernel_size

from .._writing import WriteRules, entry

if TYPE_CHECKING:
    from ._module import GraphModule

Tensor = torch.Tensor
RULES: WriteRules["GraphModule", Tensor] = WriteRules("PyTorch")
rule = RULES.writes
FUNCTIONS: dict[str, Any] = {
    "Neg": torch.neg, "Abs": torch.abs, "Floor": torch.floor, "Ceil": torch.ceil, "Round": torch.round,
    "Exp": torch.exp, "Log": torch.log, "Log1p": torch.log1p, "Expm1": torch.expm1, "Sqrt": torch.sqrt,
    "Tanh": torch.tanh, "Sigmoid": torch.sigmoid, "Relu": torch.relu, "Erf": torch.erf, "Not": torch.logical_not,
    "Sin": torch.sin, "Cos": torch.cos, "Tan": torch.tan, "Asin": torch.asin, "Acos": torch.acos, "Atan": torch.atan,
    "Sinh": torch.sinh, "Cosh": torch.cosh, "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul,
    "Max": torch.maximum, "Min": torch.minimum, "Pow": torch.pow, "And": torch.logical_and, "Or": torch.logical_or,
    "Eq": torch.eq, "Lt": torch.lt, "Le": torch.le, "Where": torch.where, "MatMul": torch.matmul,
}  # fmt: skip
DTYPES = {
    "bool": torch.bool, "int8": torch.int8, "uint8": torch.uint8, "int32": torch.int32, "float32": torch.float32,
}  # fmt: skip


def dtype_of(dtype: DTypeLike) -> torch.dtype:
    return DTYPES[str(np.dtype(dtype))]


def activate(node: Node, y: Tensor) -> Tensor:
    activation = node.attrs["activation"]
    return y if activation is None else entry(FUNCTIONS, activation, "PyTorch", node)(y)


@rule(*FUNCTIONS)
def same(m: "GraphModule", node: Node, *x: Tensor) -> Tensor:
    return FUNCTIONS[node.op](*x)


@rule("Sign")
def sign(m: "GraphModule", node: Node, x: Tensor) -> Tensor:
    return torch.where(x != x, x, torch.sign(x))


@rule("Div", "Rem")
def divide(m: "GraphModule", node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Of integers towards zero, with 64 bits: by zero -1, or what is divided."""
    if a.dtype.is_floating_point:
        return a / b if node.op == "Div" else torch.fmod(a, b)
    wide, other = a.to(torch.int64), torch.where(b == 0, torch.ones_like(b), b).to(torch.int64)
    if node.op == "Rem":
        return torch.where(b == 0, wide, torch.fmod(wide, other))
    return torch.where(b == 0, -1, torch.div(wide, other, rounding_mode="trunc"))


@rule("Clip")
def clip(m: "GraphModule", node: Node, x: Tensor) -> Tensor:
    lo, hi = node.attrs["lo"], node.attrs["hi"]
    if np.size(lo) == 1 == np.size(hi):
        return torch.clamp(x, np.asarray(lo).item(), np.asarray(hi).item())
    lower, upper = (m.held(np.asarray(v, node.out.dtype)) for v in (lo, hi))
    return torch.minimum(torch.maximum(x, lower), upper)


@rule("Cast")
def cast(m: "GraphModule", node: Node, x: Tensor) -> Tensor:
    to = dtype_of(node.attrs["to"])
    if x.dtype.is_floating_point and not to.is_floating_point and to != torch.bool:
        limits = torch.iinfo(to)
        wide = torch.nan_to_num(x.to(torch.float64), 0.0, float(limits.max), float(limits.min))
        return torch.clamp(wide, limits.min, limits.max).to(to)
    return x.to(to)


@rule("Reshape")
def reshape(m: "GraphModule", node: Node, x: Tensor) -> Tensor:
    return x.reshape([max(d, -1) for d in node.out.shape])


@rule("Broadcast")
def broadcast(m: "GraphModule", node: Node, x: Tensor) -> Tensor:
    return x.expand(m.sizes(node.out.shape))


@rule("Transpose")
def transpose(m: "GraphModule", node: Node, x: Tensor) -> Tensor:
    return x.permute(tuple(node.attrs["perm"]))


@rule("Concat")
def concat(m: "GraphModule", node: Node, *x: Tensor) -> Tensor:
    return torch.cat(x, node.attrs["axis"])


@rule("Slice")
def cut(m: "GraphModule", node: Node, x: Tensor) -> Tensor:
    a, shape = node.attrs, node.inputs[0].shape
    for axis, (start, count, step) in enumerate(zip(a["starts"], a["sizes"], a["steps"], strict=True)):
        if step < 0:
            x = x.index_select(axis, m.held(start + step * np.arange(count)))
        elif count >= 0 and (start, count, step) != (0, shape[axis], 1):
            x = x[(slice(None),) * axis + (slice(start, start + (count - 1) * step + 1 if count else start, step),)]
    return x


def padded(x: Tensor, pads: Any, value: float) -> Tensor:
    """`pads` are (low, high) of the last axes."""
    flat = [int(p) for low_high in reversed(list(pads)) for p in low_high]
    return F.pad(x, flat, value=value) if any(flat) else x


@rule("Pad")
def pad(m: "GraphModule", node: Node, x: Tensor) -> Tensor:
    whole = x.to(torch.int32) if x.dtype == torch.bool else x
    return padded(whole, node.attrs["pads"], float(node.attrs["value"]))


@rule("Reduce")
def reduce(m: "GraphModule", node: Node, x: Tensor) -> Tensor:
    kind, axes, keep = node.attrs["kind"], sorted(node.attrs["axes"]), node.attrs["keep"]
    if kind == "prod":
        for axis in reversed(axes):
            x = torch.prod(x, axis, keepdim=keep)
        return x
    functions: dict[str, Any] = {"sum": torch.sum, "max": torch.amax, "min": torch.amin}
    return functions[kind](x, dim=axes, keepdim=keep) if axes else x


@rule("ArgMax")
def argmax(m: "GraphModule", node: Node, x: Tensor) -> Tensor:
    whole = x.to(torch.int32) if x.dtype == torch.bool else x
    return torch.argmax(whole, node.attrs["axis"], keepdim=node.attrs["keep"])


@rule("CumSum")
def cumsum(m: "GraphModule", node: Node, x: Tensor) -> Tensor:
    axis = node.attrs["axis"]
    return torch.cumsum(x.flip(axis), axis).flip(axis) if node.attrs["reverse"] else torch.cumsum(x, axis)


@rule("Softmax")
def softmax(m: "GraphModule", node: Node, x: Tensor) -> Tensor:
    return torch.softmax(x, node.attrs["axis"])


@rule("TopK")
def top_k(m: "GraphModule", node: Node, x: Tensor) -> Tensor:
    values, positions = torch.sort(x, dim=-1, descending=bool(node.attrs["largest"]), stable=True)
    return (positions if node.attrs["index"] else values)[..., : node.attrs["k"]]


@rule("Gather")
def gather(m: "GraphModule", node: Node, x: Tensor, index: Tensor) -> Tensor:
    axis, data, positions = node.attrs["axis"], node.inputs[0].shape, node.inputs[1].shape
    if node.attrs["batch_dims"] == 0:
        taken = x.index_select(axis, index.reshape(-1).to(torch.int64))
    else:
        rows = node.out.shape[0]
        count = int(np.prod(positions[1:], dtype=int))
        x = x.expand(m.sizes((rows, *data[1:])))
        index = index.to(torch.int64).reshape([-1, *(1,) * (axis - 1), count, *(1,) * (len(data) - axis - 1)])
        taken = torch.gather(x, axis, index.expand(m.sizes((rows, *data[1:axis], count, *data[axis + 1 :]))))
    return taken.reshape([max(d, -1) for d in node.out.shape])


@rule("Dense")
def dense(m: "GraphModule", node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return activate(node, F.linear(x, weight, bias))


@rule("Conv")
def convolution(m: "GraphModule", node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    a = node.attrs
    x = padded(x, a["pads"], 0.0)
    y = F.conv2d(x, weight, bias, tuple(a["strides"]), 0, tuple(a["dilation"]), a["groups"])
    return activate(node, y)


@rule("Pool")
def pool(m: "GraphModule", node: Node, x: Tensor) -> Tensor:
    a, is_max = node.attrs, node.attrs["kind"] == "max"
    x = padded(x, a["pads"], -np.inf if is_max else 0.0)
    window, strides = kernel_size(node), tuple(a["strides"])
    return F.max_pool2d(x, window, strides) if is_max else F.avg_pool2d(x, window, strides, divisor_override=1)
