"""How the layers are written in C: products whose inner loop goes over neighbouring weights, so that it vectorises."""

from collections.abc import Iterator

import numpy as np

from perdure.graph import Node, size

from ._elementwise import activation
from ._writer import WRITERS, Writer

writes = WRITERS.writes
TILE = 64  # outputs that a dense layer keeps in registers, in two sums each; 16 is ten times slower, 128 no faster
NARROW = 16  # a layer of fewer outputs goes along its inputs, in
LANES = 8  # partial sums


def activate(w: Writer, node: Node, name: str, count: int) -> None:
    """An activation in a loop of its own is faster than one in the product's."""
    if node.attrs["activation"] is not None:
        with w.code.loops(("i", count)):
            w.code.line(f"{name}[i] = {activation(node, f'{name}[i]')};")


def bias_of(w: Writer, node: Node) -> str | None:
    return w.constant(node.inputs[2].value, node.inputs[2].name).name if len(node.inputs) > 2 else None


@writes("Dense")
def dense(w: Writer, node: Node) -> None:
    x, weight = node.inputs[:2]
    units, features = weight.shape
    source, bias = w.flat(x), bias_of(w, node)
    is_wide = units >= NARROW
    weights = w.constant(tiled(weight.value.T) if is_wide else weight.value, weight.name).name
    out = w.result(node.out)
    rows = out.size // units
    with w.code.loops(("r", rows)) if rows > 1 else w.code.block():
        offset = (f" + r * {features}", f" + r * {units}") if rows > 1 else ("", "")
        w.code.line(f"const float *x = {source}{offset[0]};")
        w.code.line(f"float *y = {out.name}{offset[1]};")
        if is_wide:
            for start, count in tiles(w, units):
                tile(w, weights, bias, features, start, count)
        else:
            narrow(w, weights, bias, features, units)
    activate(w, node, out.name, out.size)


def tiled(weight: np.ndarray, width: int = TILE) -> np.ndarray:
    """(inputs, outputs) in the order in which tiles of outputs read them, so that memory is read from end to end."""
    parts = [weight[:, start : start + width] for start in range(0, weight.shape[1], width)]
    return np.concatenate([np.ravel(part) for part in parts])


def tiles(w: Writer, units: int, width: int = TILE) -> Iterator[tuple[str, int]]:
    """A loop over whole tiles of outputs, then what is left: the first output in C, and how many they are."""
    full = units // width * width
    if full:
        with w.code.block(f"for (int o = 0; o < {full}; o += {width})"):
            yield "o", width
    if units > full:
        with w.code.block():
            yield str(full), units - full


def tile(w: Writer, weights: str, bias: str | None, features: int, start: str, count: int) -> None:
    """Even inputs are summed in `a`, odd ones in `b`: neither waits for the other, which takes half the time."""
    even, in_two = features // 2 * 2, features > 1
    w.code.line(f"const float *m = {weights} + {start} * {features};")
    w.code.line(f"float a[{count}]{f', b[{count}]' if in_two else ''};")
    with w.code.loops(("j", count)):
        w.code.line(f"a[j] = {f'{bias}[{start} + j]' if bias else '0.0f'};")
    if in_two:
        with w.code.loops(("j", count)):  # loops of their own, or gcc keeps `b` in memory
            w.code.line("b[j] = 0.0f;")
        with w.code.block(f"for (int i = 0; i < {even}; i += 2)"):
            w.code.line("const float u = x[i], v = x[i + 1];")
            w.code.line(f"const float *q = m + i * {count};")
            with w.code.loops(("j", count)):
                w.code.line("a[j] += u * q[j];")
            with w.code.loops(("j", count)):
                w.code.line(f"b[j] += v * q[{count} + j];")
    if features > even:
        with w.code.loops(("j", count)):
            w.code.line(f"a[j] += x[{even}] * m[{even * count} + j];")
    with w.code.loops(("j", count)):
        w.code.line(f"y[{start} + j] = a[j]{' + b[j]' if in_two else ''};")


def narrow(w: Writer, weights: str, bias: str | None, features: int, units: int) -> None:
    """Weights as [output][input]."""
    full = features // LANES * LANES
    with w.code.loops(("o", units)):
        w.code.line(f"const float *q = {weights} + o * {features};")
        w.code.line(f"float s = {f'{bias}[o]' if bias else '0.0f'};")
        if full:
            w.code.line(f"float a[{LANES}] = {{0.0f}};")
            with w.code.block(f"for (int i = 0; i < {full}; i += {LANES})"), w.code.loops(("j", LANES)):
                w.code.line("a[j] += x[i + j] * q[i + j];")
            w.code.line("s += ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));")
        if features > full:
            w.code.line(f"for (int i = {full}; i < {features}; i++) {{ s += x[i] * q[i]; }}")
        w.code.line("y[o] = s;")


@writes("MatMul")
def matmul(w: Writer, node: Node) -> None:
    x, y = node.inputs
    p, q, out = w.flat(x), w.flat(y), w.result(node.out)
    rows, depth, columns = x.shape[-2], x.shape[-1], y.shape[-1]
    with w.code.loops(("z", size(x.shape[:-2])), ("r", rows)):
        w.code.line(f"const float *x = {p} + (z * {rows} + r) * {depth};")
        w.code.line(f"const float *m = {q} + z * {depth * columns};")
        w.code.line(f"float *y = {out.name} + (z * {rows} + r) * {columns};")
        with w.code.loops(("j", columns)):
            w.code.line("y[j] = 0.0f;")
        with w.code.loops(("i", depth), ("j", columns)):
            w.code.line(f"y[j] += x[i] * m[i * {columns} + j];")
