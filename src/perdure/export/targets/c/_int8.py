"""How the int8 core is written in C: sums of products of bytes in int32, scaled once in float, as `_int8` has it.

A layer goes along its inputs for one output after the other: compilers make dot products of bytes of such loops. The zero
of the inputs is in the bias. Sums of two scaled bytes are taken in double, where the products are exact, so that a
compiler which fuses them gives the same byte.
"""

from typing import Any

import numpy as np

from perdure.graph import Node, kernel_size, size
from perdure.graph.int8 import HIGH, LOW, multipliers

from ._storage import View, literal, row_major
from ._writer import WRITERS, Writer

writes = WRITERS.writes


def number(value: Any) -> str:
    return literal(np.float32(value), np.float32)


def byte(value: str, zero: int, low: int = LOW) -> str:
    return f"to_byte({value}, {number(low - zero)}, {number(HIGH - zero)}, {zero})"


@writes("Quantize")
def quantize(w: Writer, node: Node) -> None:
    x, (scale, zero) = node.inputs[0], node.attrs["to"]
    source, out = w.flat(x), w.result(node.out)
    entry = f"({source})[i]"
    real = f"{entry} / {number(scale)}"
    if x.dtype == np.int8:
        ((old, old_zero),) = node.attrs["scales"]
        real = f"(float)({entry} - {literal(old_zero, np.int32)}) * {number(np.float32(old) / np.float32(scale))}"
    with w.code.loops(("i", out.size)):
        w.code.line(f"{out.name}[i] = {byte(real, zero)};")


@writes("Dequantize")
def dequantize(w: Writer, node: Node) -> None:
    ((scale, zero),) = node.attrs["scales"]
    source, out = w.flat(node.inputs[0]), w.result(node.out)
    with w.code.loops(("i", out.size)):
        w.code.line(f"{out.name}[i] = (float)(({source})[i] - {literal(zero, np.int32)}) * {number(scale)};")


@writes("TableInt8")
def table(w: Writer, node: Node) -> None:
    source, answers = w.flat(node.inputs[0]), w.constant(node.inputs[1].value, node.attrs["kind"]).name
    out = w.result(node.out)
    with w.code.loops(("i", out.size)):
        w.code.line(f"{out.name}[i] = {answers}[({source})[i] + {-LOW}];")


@writes("AddInt8", "SubInt8", "MulInt8")
def binary(w: Writer, node: Node) -> None:
    (a, za), (b, zb) = node.attrs["scales"]
    scale, zero = (np.float32(node.attrs["to"][0]), node.attrs["to"][1])
    a, b = np.float32(a), np.float32(b)
    views = [w.broadcast(t, node.out.shape) for t in node.inputs]
    out = View(w.result(node.out), 0, row_major(node.out.shape))

    def entry(at: Any) -> str:
        x, y = (f"({at(v)} - {literal(z, np.int32)})" for v, z in zip(views, (za, zb), strict=True))
        if node.op == "MulInt8":
            real = f"(float)({x} * {y}) * {number(a * b / scale)}"
        else:
            sign = "-" if node.op == "SubInt8" else "+"
            real = f"(float)((double){number(a / scale)} * {x} {sign} (double){number(b / scale)} * {y})"
        return f"{at(out)} = {byte(real, zero)};"

    w.loop(node.out.shape, [*views, out], entry)


def constants(w: Writer, node: Node, weight: np.ndarray) -> tuple[str, str, str]:
    """Weights, bias less the zero of the inputs, and what the sums are multiplied with, as C has them for output `o`."""
    bias, zero = node.inputs[2], node.attrs["scales"][0][1]
    whole = bias.value.astype(np.int64) - zero * node.inputs[1].value.reshape(len(bias.value), -1).sum(
        1, dtype=np.int64
    )
    factors = multipliers(node)
    names = w.constant(weight, node.inputs[1].name).name, w.constant(whole.astype(np.int32), bias.name or "bias").name
    if factors.size == 1:
        return *names, number(factors[0])
    return *names, f"{w.constant(factors, 'factor').name}[o]"


def finished(node: Node, factor: str) -> str:
    zero = node.attrs["to"][1]
    return byte(f"(float)s * {factor}", zero, zero if node.attrs["activation"] == "Relu" else LOW)


@writes("DenseInt8")
def dense(w: Writer, node: Node) -> None:
    units, features = node.inputs[1].shape
    source, (weights, bias, factor) = w.flat(node.inputs[0]), constants(w, node, node.inputs[1].value)
    out = w.result(node.out)
    with w.code.loops(("r", out.size // units), ("o", units)):
        w.code.line(f"const int8_t *x = {source} + r * {features}, *q = {weights} + o * {features};")
        w.code.line(f"int32_t s = {bias}[o];")
        w.code.line(f"for (int i = 0; i < {features}; i++) {{ s += x[i] * q[i]; }}")
        w.code.line(f"{out.name}[r * {units} + o] = {finished(node, factor)};")


@writes("ConvInt8")
def convolution(w: Writer, node: Node) -> None:
    """Weights as [output][row][column][input]."""
    a, (outputs, inputs, *_) = node.attrs, node.inputs[1].shape
    (images, height, width, channels), (_, rows, columns, _) = node.inputs[0].shape, node.out.shape
    window, each = kernel_size(node), outputs // a["groups"]
    weights, bias, factor = constants(w, node, node.inputs[1].value.transpose(0, 2, 3, 1))
    source, out = w.flat(node.inputs[0]), w.result(node.out)
    is_whole = a["groups"] == 1 and a["dilation"][1] == 1  # a row of the window lies in one piece
    steps, run = (1, window[1] * inputs) if is_whole else (window[1], inputs)
    with w.code.loops(("n", images), ("r", rows), ("c", columns), ("o", outputs)):
        w.code.line(f"int32_t s = {bias}[o];")
        with w.code.loops(("p", window[0]), ("k", steps)):
            y = f"n * {height} + r * {a['strides'][0]} + p * {a['dilation'][0]}"
            z = f"c * {a['strides'][1]} + k * {a['dilation'][1]}"
            first = f" + o / {each} * {inputs}" if a["groups"] > 1 else ""
            w.code.line(f"const int8_t *x = {source} + (({y}) * {width} + {z}) * {channels}{first};")
            w.code.line(f"const int8_t *q = {weights} + o * {inputs * size(window)} + (p * {steps} + k) * {run};")
            w.code.line(f"for (int i = 0; i < {run}; i++) {{ s += x[i] * q[i]; }}")
        w.code.line(f"{out.name}[((n * {rows} + r) * {columns} + c) * {outputs} + o] = {finished(node, factor)};")
