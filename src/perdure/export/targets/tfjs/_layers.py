"""How the layers of a network are written in TF.js: products, convolutions, pooling. `_rules` has all other operators."""

from typing import TYPE_CHECKING, Any

import numpy as np

from perdure._core import ExportError
from perdure.graph import Node, size

from .._writing import entry
from ._rules import FLOAT, writes

if TYPE_CHECKING:
    from ._writer import Writer

ENDS = {name: name for name in ("Identity", "Relu", "Tanh", "Sigmoid")}


def layer(w: "Writer", node: Node, y: str) -> None:
    """The bias and the activation that end a layer."""
    kind, bias = node.attrs["activation"], node.inputs[2:]
    for k, t in enumerate(bias):
        is_last = kind is None and k == len(bias) - 1
        y = w.op("AddV2", y, w.ref(t), out=node.out.name if is_last else None, T=FLOAT)
    if kind is not None or not bias:
        w.op(entry(ENDS, kind or "Identity", "TF.js", node), y, out=node.out.name, T=FLOAT)


@writes("Dense")
def dense(w: "Writer", node: Node) -> None:
    x, weight = node.inputs[:2]
    turned = w.array(weight.value.T, np.float32, weight.name)
    if x.rank == 2:
        made = w.op("MatMul", w.ref(x), turned, transpose_a=False, transpose_b=False, T=FLOAT)
    else:
        made = w.op("BatchMatMulV2", w.ref(x), turned, adj_x=False, adj_y=False, T=FLOAT)
    layer(w, node, made)


def padded(w: "Writer", node: Node, value: float) -> str:
    x, pads = node.inputs[0], node.attrs["pads"]
    if not any(map(any, pads)):
        return w.ref(x)
    return w.op("PadV2", w.ref(x), w.integers([(0, 0), *pads, (0, 0)]), w.array(value))


@writes("Conv")
def convolution(w: "Writer", node: Node) -> None:
    """A convolution in groups is one for each group, side by side."""
    a, x, weight = node.attrs, node.inputs[0], node.inputs[1]
    if max(a["strides"]) > 1 and max(a["dilation"]) > 1:
        raise ExportError(f"{node.where}: TF.js has no convolution with strides and dilation. Use one of the two.")
    kernel = weight.value.transpose(2, 3, 1, 0)  # [out][in][row][column] -> [row][column][in][out]
    settings: dict[str, Any] = {"strides": (1, *a["strides"], 1), "dilations": (1, *a["dilation"], 1)}
    settings |= {"padding": "VALID", "data_format": "NHWC", "T": FLOAT}
    source, count, width = padded(w, node, 0.0), a["groups"], weight.shape[1]
    parts = []
    for k, part in enumerate(np.split(kernel, count, 3)):
        begin, end = ([0, 0, 0, k * width], [0, 0, 0, (k + 1) * width])
        bounds = map(w.integers, (begin, end, [1] * x.rank))
        own = w.op("StridedSlice", source, *bounds, end_mask=7) if count > 1 else source
        parts.append(w.op("Conv2D", own, w.array(part, np.float32, weight.name if count == 1 else ""), **settings))
    layer(w, node, w.op("ConcatV2", *parts, w.integers(3), N=count) if count > 1 else parts[0])


@writes("Pool")
def pool(w: "Writer", node: Node) -> None:
    a, is_max = node.attrs, node.attrs["kind"] == "max"
    source = padded(w, node, -np.inf if is_max else 0.0)
    settings: dict[str, Any] = {"ksize": (1, *a["window"], 1), "strides": (1, *a["strides"], 1), "padding": "VALID"}
    if is_max:
        w.op("MaxPool", source, out=node.out.name, **settings, T=FLOAT)
    else:
        mean = w.op("AvgPool", source, **settings, T=FLOAT)
        w.op("Mul", mean, w.array(size(a["window"])), out=node.out.name, T=FLOAT)
