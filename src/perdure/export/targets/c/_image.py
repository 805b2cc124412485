"""How convolutions and pooling are written in C, channels last."""

import numpy as np

from perdure.graph import Node, Tensor, kernel_size, size

from ._layers import activate, bias_of, tiled, tiles
from ._storage import View, c_type, row_major
from ._writer import WRITERS, Writer

writes = WRITERS.writes
PIXELS = 4  # neighbouring pixels that a weight is multiplied with once it is read
CHANNELS = 32  # outputs of each that stay in registers


def padded(w: Writer, x: Tensor, pads: tuple[tuple[int, int], ...]) -> tuple[str, tuple[int, ...]]:
    """A pointer to an image with zeros around it, and its shape."""
    if not any(map(any, pads)):
        return w.flat(x), x.shape
    (images, height, width, channels), (rows, columns) = x.shape, pads
    shape = (images, height + sum(rows), width + sum(columns), channels)
    source, strides = w.view(x), row_major(shape)
    made = w.buffer(f"{x.name}_padded", x.dtype, size(shape))
    with w.code.loops(("i", made.size)):
        w.code.line(f"{made.name}[i] = 0;")
    inner = View(made, rows[0] * strides[1] + columns[0] * strides[2], strides)
    w.loop(x.shape, [source, inner], lambda at: f"{at(inner)} = {at(source)};")
    return made.name, shape


@writes("Conv")
def convolution(w: Writer, node: Node) -> None:
    """Weights by group and tile of outputs, in each [row][column][input][output]."""
    weight, groups = node.inputs[1], node.attrs["groups"]
    outputs, inputs, *kernel = weight.shape
    source, shape = padded(w, node.inputs[0], node.attrs["pads"])
    bias = bias_of(w, node)
    turned = weight.value.reshape(groups, outputs // groups, inputs, *kernel).transpose(0, 3, 4, 2, 1)
    flat = np.concatenate([tiled(part.reshape(-1, outputs // groups), CHANNELS) for part in turned])
    weights, out = w.constant(flat, weight.name).name, w.result(node.out)
    _, rows, columns, _ = node.out.shape
    full = columns // PIXELS * PIXELS
    with w.code.loops(("n", shape[0]), ("r", rows)):
        if full:
            with w.code.block(f"for (int c = 0; c < {full}; c += {PIXELS})"):
                pixels(w, node, source, shape, weights, bias, out.name, "c", PIXELS)
        if columns > full:
            with w.code.block():
                pixels(w, node, source, shape, weights, bias, out.name, str(full), columns - full)
    activate(w, node, out.name, out.size)


def pixels(
    w: Writer,
    node: Node,
    source: str,
    shape: tuple[int, ...],
    weights: str,
    bias: str | None,
    out: str,
    column: str,
    count: int,
) -> None:
    """`count` neighbouring pixels of row r, from a column on: all their outputs, tile by tile."""
    a, (_, height, width, channels) = node.attrs, shape
    outputs, inputs, *kernel = node.inputs[1].shape
    each, (_, rows, columns, _) = outputs // a["groups"], node.out.shape
    with w.code.loops(("g", a["groups"])):
        for start, tile in tiles(w, each, CHANNELS):
            first = f"g * {each} + {start}"
            w.code.line(f"const float *m = {weights} + ({first}) * {inputs * size(kernel)};")
            w.code.line(f"float {', '.join(f'a{k}[{tile}]' for k in range(count))};")
            with w.code.loops(("j", tile)):
                w.code.line(
                    f"{' = '.join(f'a{k}[j]' for k in range(count))} = {f'{bias}[{first} + j]' if bias else '0.0f'};"
                )
            with w.code.loops(("p", kernel[0]), ("q", kernel[1])):
                y = f"n * {height} + r * {a['strides'][0]} + p * {a['dilation'][0]}"
                z = f"({column}) * {a['strides'][1]} + q * {a['dilation'][1]}"
                w.code.line(f"const float *v = {source} + (({y}) * {width} + {z}) * {channels} + g * {inputs};")
                with w.code.loops(("i", inputs)):
                    steps = [k * a["strides"][1] * channels for k in range(count)]
                    w.code.line(f"const float {', '.join(f'e{k} = v[i + {s}]' for k, s in enumerate(steps))};")
                    w.code.line(f"const float *s = m + ((p * {kernel[1]} + q) * {inputs} + i) * {tile};")
                    with w.code.loops(("j", tile)):
                        for k in range(count):
                            w.code.line(f"a{k}[j] += e{k} * s[j];")
            w.code.line(f"float *t = {out} + ((n * {rows} + r) * {columns} + {column}) * {outputs} + {first};")
            with w.code.loops(("j", tile)):
                for k in range(count):
                    w.code.line(f"t[{k * outputs} + j] = a{k}[j];")


@writes("Pool")
def pool(w: Writer, node: Node) -> None:
    a, x, is_max, ctype = node.attrs, node.inputs[0], node.attrs["kind"] == "max", c_type(node.out.dtype)
    lowest, largest = ("-INFINITY", "max_f({})") if ctype == "float" else ("(-128)", "(int8_t)max_i({})")
    source, out = w.flat(x), w.result(node.out)
    (images, height, width, channels), (_, rows, columns, _) = x.shape, node.out.shape
    (down, right), pads, window = a["strides"], a["pads"], kernel_size(node)
    with w.code.loops(("n", images), ("r", rows), ("c", columns)):
        w.code.line(f"{ctype} *t = {out.name} + ((n * {rows} + r) * {columns} + c) * {channels};")
        with w.code.loops(("o", channels)):
            w.code.line(f"t[o] = {lowest if is_max else '0.0f'};")
        with w.code.loops(("p", window[0]), ("q", window[1])):
            w.code.line(f"const int y = r * {down} + p - {pads[0][0]}, z = c * {right} + q - {pads[1][0]};")
            if any(map(any, pads)):
                w.code.line(f"if (y < 0 || y >= {height} || z < 0 || z >= {width}) {{ continue; }}")
            w.code.line(f"const {ctype} *v = {source} + ((n * {height} + y) * {width} + z) * {channels};")
            with w.code.loops(("o", channels)):
                w.code.line(f"t[o] = {largest.format('t[o], v[o]')};" if is_max else "t[o] += v[o];")
