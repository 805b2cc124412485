"""How the operators that reduce, order or move entries are written in C. A NaN counts as the largest number."""

import functools
from collections.abc import Callable, Sequence

from perdure.graph import Node, size

from ._storage import View, c_type, literal, row_major
from ._writer import WRITERS, Writer

writes = WRITERS.writes
STEPS = {
    "float": {"sum": "s += {}", "prod": "s *= {}", "max": "s = max_f(s, {})", "min": "s = min_f(s, {})"},
    "int32_t": {"sum": "s = add_i(s, {})", "prod": "s = mul_i(s, {})", "max": "s = max_i(s, {})", "min": "s = min_i(s, {})"},
}  # fmt: skip


def copied(source: View, target: View, at: Callable[[View], str]) -> str:
    return f"{at(target)} = {at(source)};"


@writes("Concat")
def concat(w: Writer, node: Node) -> None:
    sources = [w.view(t) for t in node.inputs]
    strides, axis = row_major(node.out.shape), node.attrs["axis"]
    out, at = w.result(node.out), 0
    for t, source in zip(node.inputs, sources, strict=True):
        part = View(out, at * strides[axis], strides)
        w.loop(t.shape, [source, part], functools.partial(copied, source, part))
        at += t.shape[axis]


@writes("Pad")
def pad(w: Writer, node: Node) -> None:
    source, strides = w.view(node.inputs[0]), row_major(node.out.shape)
    out = w.result(node.out)
    with w.code.loops(("i", out.size)):
        w.code.line(f"{out.name}[i] = {literal(node.attrs['value'], node.out.dtype)};")
    inner = View(out, sum(lo * s for (lo, _), s in zip(node.attrs["pads"], strides, strict=True)), strides)
    w.loop(node.inputs[0].shape, [source, inner], lambda at: f"{at(inner)} = {at(source)};")


Lines = Callable[[str, str, Sequence[int]], list[str]]


def along(w: Writer, node: Node, axes: Sequence[int], lines: Lines, keeps_axes: bool = True) -> None:
    """Loops over the other axes. `lines(first, out, strides)`: C from the first entry of the axes, and of the output."""
    x, view = node.inputs[0], w.view(node.inputs[0])
    out, strides = w.result(node.out), row_major(node.out.shape)
    rest = [i for i in range(x.rank) if i not in axes]
    source = View(view.buffer, view.offset, tuple(view.strides[i] for i in rest))
    target = View(out, 0, tuple(strides[i] for i in rest) if keeps_axes else strides)
    steps = [view.strides[i] for i in axes]
    w.loop([x.shape[i] for i in rest], [source, target], lambda at: lines(at(source), at(target), steps))


def for_loop(name: str, count: int, first: int = 0) -> str:
    return f"for (int {name} = {first}; {name} < {count}; {name}++)"


@writes("Reduce")
def reduce(w: Writer, node: Node) -> None:
    a, x, ctype = node.attrs, node.inputs[0], c_type(node.out.dtype)
    kind, shape = a["kind"], [x.shape[i] for i in a["axes"]]

    def lines(first: str, out: str, strides: Sequence[int]) -> list[str]:
        index = " + ".join(f"r{k} * {s}" for k, s in enumerate(strides))
        wide = "float" if ctype == "float" else "int32_t"
        start = {"sum": "0", "prod": "1"}.get(kind, "p[0]")
        return [
            f"const {ctype} *p = &{first};",
            f"{wide} s = {start};",
            " ".join(for_loop(f"r{k}", count) for k, count in enumerate(shape)),
            f"    {STEPS[wide][kind].format(f'p[{index}]')};",
            f"{out} = {'' if wide == ctype else f'({ctype})'}s;",
        ]

    along(w, node, a["axes"], lines, a["keep"])


@writes("ArgMax")
def argmax(w: Writer, node: Node) -> None:
    axis, x = node.attrs["axis"], node.inputs[0]
    ctype = c_type(x.dtype)
    is_next = "v > best || (v != v && best == best)" if ctype == "float" else "v > best"

    def lines(first: str, out: str, strides: Sequence[int]) -> list[str]:
        return [
            f"const {ctype} *p = &{first};",
            f"{ctype} best = p[0];",
            "int32_t k = 0;",
            f"{for_loop('r', x.shape[axis], 1)} {{",
            f"    const {ctype} v = p[r * {strides[0]}];",
            f"    if ({is_next}) {{ best = v; k = r; }}",
            "}",
            f"{out} = k;",
        ]

    along(w, node, (axis,), lines, node.attrs["keep"])


@writes("Softmax")
def softmax(w: Writer, node: Node) -> None:
    axis, count = node.attrs["axis"], node.out.shape[node.attrs["axis"]]
    step = row_major(node.out.shape)[axis]

    def lines(first: str, out: str, strides: Sequence[int]) -> list[str]:
        loop = for_loop("r", count)
        return [
            f"const float *p = &{first};",
            f"float *q = &{out}, m = p[0], s = 0.0f;",
            f"{loop} {{ m = max_f(m, p[r * {strides[0]}]); }}",
            f"{loop} {{ q[r * {step}] = fast_exp(p[r * {strides[0]}] - m); }}",
            f"{loop} {{ s += q[r * {step}]; }}",
            f"{loop} {{ q[r * {step}] /= s; }}",
        ]

    along(w, node, (axis,), lines)


@writes("CumSum")
def cumsum(w: Writer, node: Node) -> None:
    axis, count, ctype = node.attrs["axis"], node.out.shape[node.attrs["axis"]], c_type(node.out.dtype)
    step = row_major(node.out.shape)[axis]
    loop = f"for (int r = {count - 1}; r >= 0; r--)" if node.attrs["reverse"] else for_loop("r", count)
    add = "s += {}" if ctype == "float" else "s = add_i(s, {})"

    def lines(first: str, out: str, strides: Sequence[int]) -> list[str]:
        value = add.format(f"p[r * {strides[0]}]")
        return [
            f"const {ctype} *p = &{first};",
            f"{ctype} *q = &{out}, s = 0;",
            f"{loop} {{ {value}; q[r * {step}] = s; }}",
        ]

    along(w, node, (axis,), lines)


def sorted_positions(w: Writer, node: Node) -> View:
    """The positions of each row in order, equals as they come; values and positions of one TopK share them."""
    x, count, largest = node.inputs[0], node.inputs[0].shape[-1], node.attrs["largest"]
    key = (id(x), largest)
    if key not in w.orders:
        source, ctype = w.flat(x), c_type(x.dtype)
        made = w.buffer(f"{node.out.name}_order", "int32", size(x.shape))
        w.orders[key] = View(made, 0, ())
        before = "a > b" if largest else "a < b"
        if ctype == "float":
            before += " || (a != a && b == b)" if largest else " || (b != b && a == a)"
        with w.code.loops(("o", size(x.shape[:-1]))):
            w.code.line(f"const {ctype} *p = {source} + o * {count};")
            w.code.line(f"int32_t *s = {made.name} + o * {count};")
            with w.code.loops(("j", count)):
                w.code.line("int i = j;")
                with w.code.block("for (; i > 0; i--)"):
                    w.code.line(f"const {ctype} a = p[j], b = p[s[i - 1]];")
                    w.code.line(f"if (!({before})) {{ break; }}")
                    w.code.line("s[i] = s[i - 1];")
                w.code.line("s[i] = j;")
    found = w.orders[key]
    found.buffer.last = w.step
    return found


@writes("TopK")
def top_k(w: Writer, node: Node) -> None:
    x, k, count = node.inputs[0], node.attrs["k"], node.inputs[0].shape[-1]
    order, source = sorted_positions(w, node).buffer.name, w.flat(x)
    out = w.result(node.out)
    with w.code.loops(("o", size(x.shape[:-1])), ("j", k)):
        position = f"{order}[o * {count} + j]"
        value = position if node.attrs["index"] else f"({source})[o * {count} + {position}]"
        w.code.line(f"{out.name}[o * {k} + j] = {value};")


@writes("Gather")
def gather(w: Writer, node: Node) -> None:
    """An index outside is moved inside: C would read past the end."""
    x, index = node.inputs
    axis, is_batched = node.attrs["axis"], node.attrs["batch_dims"] == 1
    source, positions = w.flat(x), w.flat(index)
    out = w.result(node.out)
    rows, count, inner = size(x.shape[:axis]), x.shape[axis], size(x.shape[axis + 1 :])
    taken = size(index.shape[1:]) if is_batched else size(index.shape)
    first = f"o / {size(x.shape[1:axis])} * {taken} + j" if is_batched else "j"
    with w.code.loops(("o", rows), ("j", taken)):
        w.code.line(f"const int32_t k = ({positions})[{first}];")
        w.code.line(f"const int32_t n = k < 0 ? 0 : (k < {count} ? k : {count - 1});")
        with w.code.loops(("c", inner)):
            entry = f"({source})[(o * {count} + n) * {inner} + c]"
            w.code.line(f"{out.name}[(o * {taken} + j) * {inner} + c] = {entry};")
