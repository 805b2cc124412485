"""How the layers are written in C: products whose inner loop goes over neighbouring weights, so that it vectorises."""

from typing import Any

from .._graph import Node, size
from .._operators import kernel_size
from ._elementwise import activation
from ._writer import WRITERS

writes = WRITERS.writes
TILE = 64  # outputs that a dense layer keeps in registers; 16 is ten times slower, 128 no faster
NARROW = 16  # a layer of fewer outputs goes along its inputs, in
LANES = 8  # partial sums


def activate(w: Any, name: str, kind: str | None, count: int) -> None:
    """An activation in a loop of its own is faster than one in the product's."""
    if kind is not None:
        with w.code.loops(("i", count)):
            w.code.line(f"{name}[i] = {activation(kind, f'{name}[i]')};")


def bias_of(w: Any, node: Node) -> str | None:
    return w.constant(node.inputs[2].value, node.inputs[2].name).name if len(node.inputs) > 2 else None


@writes("Dense")
def dense(w: Any, node: Node) -> None:
    x, weight = node.inputs[:2]
    units, features = weight.shape
    source, bias = w.flat(x), bias_of(w, node)
    is_wide = units >= NARROW
    weights = w.constant(weight.value.T if is_wide else weight.value, weight.name).name
    out = w.result(node.out)
    rows = out.size // units
    with w.code.loops(("r", rows)) if rows > 1 else w.code.block():
        offset = (f" + r * {features}", f" + r * {units}") if rows > 1 else ("", "")
        w.code.line(f"const float *x = {source}{offset[0]};")
        w.code.line(f"float *y = {out.name}{offset[1]};")
        if is_wide:
            wide(w, weights, bias, features, units)
        else:
            narrow(w, weights, bias, features, units)
    activate(w, out.name, node.attrs["activation"], out.size)


def wide(w: Any, weights: str, bias: str | None, features: int, units: int) -> None:
    """Weights as [input][output]."""
    full = units // TILE * TILE
    if full:
        with w.code.block(f"for (int o = 0; o < {full}; o += {TILE})"):
            tile(w, weights, bias, features, units, "o", TILE)
    if units > full:
        with w.code.block():
            tile(w, weights, bias, features, units, str(full), units - full)


def tile(w: Any, weights: str, bias: str | None, features: int, units: int, start: str, count: int) -> None:
    w.code.line(f"float a[{count}];")
    with w.code.loops(("j", count)):
        w.code.line(f"a[j] = {f'{bias}[{start} + j]' if bias else '0.0f'};")
    with w.code.loops(("i", features)):
        w.code.line("const float v = x[i];")
        w.code.line(f"const float *q = {weights} + i * {units} + {start};")
        with w.code.loops(("j", count)):
            w.code.line("a[j] += v * q[j];")
    with w.code.loops(("j", count)):
        w.code.line(f"y[{start} + j] = a[j];")


def narrow(w: Any, weights: str, bias: str | None, features: int, units: int) -> None:
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
def matmul(w: Any, node: Node) -> None:
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


def taps(w: Any, node: Node) -> Any:
    """Loops over the taps (p, q) of the window at pixel (r, c), inside of the image: at pixel (y, z)."""
    a, (_, height, width, _) = node.attrs, node.inputs[0].shape
    (down, right), pads, kernel = a["strides"], a["pads"], kernel_size(node)
    dilation = a.get("dilation", (1, 1))
    is_padded = any(map(any, pads))
    loops = w.code.loops(("p", kernel[0]), ("q", kernel[1]))
    y = f"r * {down} + p * {dilation[0]} - {pads[0][0]}"
    z = f"c * {right} + q * {dilation[1]} - {pads[1][0]}"
    lines = [f"const int y = {y}, z = {z};"]
    if is_padded:
        lines.append(f"if (y < 0 || y >= {height} || z < 0 || z >= {width}) {{ continue; }}")
    return loops, lines


@writes("Conv")
def convolution(w: Any, node: Node) -> None:
    """Weights as [row][column][group][input][output]."""
    x, weight = node.inputs[:2]
    groups, (outputs, inputs, *kernel) = node.attrs["groups"], weight.shape
    source, bias = w.flat(x), bias_of(w, node)
    turned = weight.value.reshape(groups, outputs // groups, inputs, *kernel).transpose(3, 4, 0, 2, 1)
    weights, out = w.constant(turned, weight.name).name, w.result(node.out)
    (images, height, width, channels), (_, rows, columns, _) = x.shape, node.out.shape
    with w.code.loops(("n", images), ("r", rows), ("c", columns)):
        w.code.line(f"float a[{outputs}];")
        with w.code.loops(("o", outputs)):
            w.code.line(f"a[o] = {f'{bias}[o]' if bias else '0.0f'};")
        loops, lines = taps(w, node)
        with loops:
            for line in lines:
                w.code.line(line)
            w.code.line(f"const float *v = {source} + ((n * {height} + y) * {width} + z) * {channels};")
            w.code.line(f"const float *m = {weights} + (p * {kernel[1]} + q) * {inputs * outputs};")
            each = outputs // groups
            with w.code.loops(("g", groups), ("i", inputs)), w.code.loops(("o", each)):
                w.code.line(f"a[g * {each} + o] += v[g * {inputs} + i] * m[(g * {inputs} + i) * {each} + o];")
        w.code.line(f"float *t = {out.name} + ((n * {rows} + r) * {columns} + c) * {outputs};")
        with w.code.loops(("o", outputs)):
            w.code.line("t[o] = a[o];")
    activate(w, out.name, node.attrs["activation"], out.size)


@writes("Pool")
def pool(w: Any, node: Node) -> None:
    x, is_max = node.inputs[0], node.attrs["kind"] == "max"
    source, out = w.flat(x), w.result(node.out)
    (images, height, width, channels), (_, rows, columns, _) = x.shape, node.out.shape
    with w.code.loops(("n", images), ("r", rows), ("c", columns)):
        w.code.line(f"float *t = {out.name} + ((n * {rows} + r) * {columns} + c) * {channels};")
        with w.code.loops(("o", channels)):
            w.code.line(f"t[o] = {'-INFINITY' if is_max else '0.0f'};")
        loops, lines = taps(w, node)
        with loops:
            for line in lines:
                w.code.line(line)
            w.code.line(f"const float *v = {source} + ((n * {height} + y) * {width} + z) * {channels};")
            with w.code.loops(("o", channels)):
                w.code.line("t[o] = max_f(t[o], v[o]);" if is_max else "t[o] += v[o];")
