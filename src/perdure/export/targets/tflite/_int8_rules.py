"""How the int8 core is written in TFLite. Its tensors carry the (scale, zero) that the operators of the graph name."""

from typing import TYPE_CHECKING

import numpy as np

from perdure.graph import Node

from .._writing import entry
from ._rules import WRITERS

if TYPE_CHECKING:
    from ._writer import Writer


writes = WRITERS.writes
TABLES = {"Tanh": "TANH", "Sigmoid": "LOGISTIC", "Relu": "RELU"}


def given(w: "Writer", node: Node) -> list[int]:
    """The byte inputs, with their scales."""
    scales = node.attrs["scales"]
    for t, scale in zip(node.inputs, scales, strict=False):
        w.set_scale(w.ref(t), *scale)
    return [w.ref(t) for t in node.inputs[: len(scales)]]


def result(w: "Writer", node: Node) -> int:
    w.set_scale(w.ref(node.out), *node.attrs["to"])
    return w.ref(node.out)


@writes("Quantize")
def quantize(w: "Writer", node: Node) -> None:
    given(w, node)
    w.op("QUANTIZE", [w.ref(node.inputs[0])], node.out.shape, out=result(w, node))


@writes("Dequantize")
def dequantize(w: "Writer", node: Node) -> None:
    w.op("DEQUANTIZE", given(w, node), node.out.shape, out=w.ref(node.out))


@writes("TableInt8")
def table(w: "Writer", node: Node) -> None:
    w.op(entry(TABLES, node.attrs["kind"], "TFLite", node), given(w, node), node.out.shape, out=result(w, node))


@writes("AddInt8", "SubInt8", "MulInt8")
def binary(w: "Writer", node: Node) -> None:
    w.op(node.op.removesuffix("Int8").upper(), given(w, node), node.out.shape, out=result(w, node))


@writes("DenseInt8", "ConvInt8")
def layer(w: "Writer", node: Node) -> None:
    x, (weight, bias, units), a = given(w, node)[0], node.inputs[1:], node.attrs
    scales = units.value.tolist()
    is_dense, is_relu = node.op == "DenseInt8", a["activation"] == "Relu"
    kernel = w.ref(weight) if is_dense else w.array(weight.value.transpose(0, 2, 3, 1), np.int8)
    w.set_scale(kernel, scales, [0] * len(scales))
    w.set_scale(w.ref(bias), [a["scales"][0][0] * scale for scale in scales], [0] * len(scales))
    kinds = w.schema.ActivationFunctionType
    settings = {"fusedActivationFunction": kinds.RELU if is_relu else kinds.NONE}
    if is_dense:
        settings["keepNumDims"] = node.out.rank != 2
    else:
        settings |= {"strideH": a["strides"][0], "strideW": a["strides"][1], "padding": w.schema.Padding.VALID}
        settings |= {"dilationHFactor": a["dilation"][0], "dilationWFactor": a["dilation"][1]}
    kind = "FULLY_CONNECTED" if is_dense else "CONV_2D"
    w.op(kind, [x, kernel, w.ref(bias)], node.out.shape, out=result(w, node), **settings)
