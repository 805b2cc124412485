"""Graph to the body of one C function.

Transposes, slices, broadcasts and reshapes are strides, not code. Elementwise operators with one reader become one loop
with it. `_rules`, `_layers` and `_image` say how each operator is written; they call the methods of `Writer`.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from perdure.graph import ELEMENTWISE, Graph, Node, Shape, Tensor, safe, scalar, size

from .._writing import WriteRules
from ._storage import Buffer, View, c_type, constant_array, is_row_major, literal, row_major

WRITERS: WriteRules["Writer", None] = WriteRules("C")
VIEWS = frozenset({"Transpose", "Slice", "Broadcast", "Reshape"})
NAME_LENGTH = 48  # C99 promises that 63 characters tell names apart
At = Callable[[View], str]  # the entry of a view inside a loop
Body = Callable[[At], str | Sequence[str]]


class Code:
    """Lines of C, indented."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 1

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    @contextlib.contextmanager
    def block(self, head: str = "") -> Iterator[None]:
        self.line(f"{head} {{".lstrip())
        self.depth += 1
        yield
        self.depth -= 1
        self.line("}")

    @contextlib.contextmanager
    def loops(self, *ranges: tuple[str, int]) -> Iterator[None]:
        """Nested loops over (name, count)."""
        with contextlib.ExitStack() as stack:
            for name, count in ranges:
                stack.enter_context(self.block(f"for (int {name} = 0; {name} < {count}; {name}++)"))
            yield


class Writer:
    """Collects code, constants and buffers. `given` are the C expressions of the inputs, `direct` of outputs by tensor."""

    def __init__(self, graph: Graph, given: dict[int, Buffer], direct: dict[int, Buffer]):
        self.graph, self.direct, self.code = graph, direct, Code()
        self.views = {id(t): View(given[id(t)], 0, row_major(t.shape)) for t in graph.inputs}
        self.buffers: list[Buffer] = []
        self.constants: dict[Any, Buffer] = {}
        self.declarations: list[str] = []
        self.constant_bytes = 0
        self.orders: dict[Any, View] = {}  # sorted positions, which TopK shares between values and positions
        self.names: set[str] = set()
        self.step = 0
        self.fused = self.find_fused()

    def find_fused(self) -> set[int]:
        """Elementwise values that one elementwise operator of the same shape reads, and nobody else."""
        nodes, uses = self.graph.nodes(), self.graph.uses()
        reader = {id(t): node for node in nodes for t in node.inputs}
        outputs = {id(t) for _, t in self.graph.outputs}
        return {
            id(n.out)
            for n in nodes
            if n.op in ELEMENTWISE
            and uses[id(n.out)] == 1
            and id(n.out) not in outputs
            and reader[id(n.out)].op in ELEMENTWISE
            and reader[id(n.out)].out.shape == n.out.shape
        }

    # Storage

    def fresh(self, prefix: str, base: str) -> str:
        base = f"{prefix}_{safe(base)[:NAME_LENGTH]}"
        name, count = base, 1
        while name in self.names:
            count += 1
            name = f"{base}_{count}"
        self.names.add(name)
        return name

    def buffer(self, name: str, dtype: DTypeLike, count: int) -> Buffer:
        """A new array in the workspace."""
        made = Buffer(self.fresh("v", name), c_type(dtype), count, True, self.step, self.step)
        self.buffers.append(made)
        return made

    def result(self, t: Tensor) -> Buffer:
        """Where a node puts its output, in row-major order."""
        made = self.direct.get(id(t)) or self.buffer(t.name, t.dtype, size(t.shape))
        self.views[id(t)] = View(made, 0, row_major(t.shape))
        return made

    def constant(self, value: np.ndarray, name: str) -> Buffer:
        value = np.asarray(value, order="C")
        key = (str(value.dtype), value.tobytes())
        if key not in self.constants:
            made = Buffer(self.fresh("w", name), c_type(value.dtype), value.size)
            self.declarations.append(constant_array(made.name, value))
            self.constant_bytes += value.nbytes
            self.constants[key] = made
        return self.constants[key]

    def view(self, t: Tensor) -> View:
        """The view of a tensor; it lives until this step at least."""
        if id(t) not in self.views:
            assert t.is_constant, t
            self.views[id(t)] = View(self.constant(t.value, t.name), 0, row_major(t.shape))
        found = self.views[id(t)]
        found.buffer.last = max(found.buffer.last, self.step)
        return found

    def broadcast(self, t: Tensor, shape: Shape) -> View:
        """The view of a tensor in a wider shape."""
        view, pad = self.view(t), len(shape) - t.rank
        strides = tuple(0 if d == 1 else s for d, s in zip(t.shape, view.strides, strict=True))
        return View(view.buffer, view.offset, (0,) * pad + strides)

    def flat(self, t: Tensor) -> str:
        """A pointer to the entries of a tensor in row-major order; they are copied if they are in another one."""
        view = self.view(t)
        if not is_row_major(view, t.shape):
            made = View(self.buffer(f"{t.name}_copy", t.dtype, size(t.shape)), 0, row_major(t.shape))
            self.loop(t.shape, [view, made], lambda at: f"{at(made)} = {at(view)};")
            self.views[id(t)] = view = made
        return view.pointer

    # Code

    def loop(self, shape: Sequence[int], views: Sequence[View], body: Body) -> None:
        """Nested loops over a shape; neighbouring axes become one where every view allows it."""
        merged: list[tuple[int, list[int]]] = []
        for axis, d in enumerate(shape):
            strides = [v.strides[axis] for v in views]
            if d == 1:
                continue
            if merged and all(outer == inner * d for outer, inner in zip(merged[-1][1], strides, strict=True)):
                merged[-1] = (merged[-1][0] * d, strides)
            else:
                merged.append((d, strides))
        index = {id(v): self.index(v.offset, [m[1][k] for m in merged]) for k, v in enumerate(views)}
        lines = body(lambda view: f"{view.buffer.name}[{index[id(view)]}]")
        lines = [lines] if isinstance(lines, str) else lines
        with contextlib.ExitStack() as stack:
            if not merged and len(lines) > 1:
                stack.enter_context(self.code.block())
            stack.enter_context(self.code.loops(*[(f"i{k}", count) for k, (count, _) in enumerate(merged)]))
            for line in lines:
                self.code.line(line)

    @staticmethod
    def index(offset: int, strides: Sequence[int]) -> str:
        parts = [f"i{k}" if s == 1 else f"i{k} * {s}" for k, s in enumerate(strides) if s]
        return " + ".join([*([str(offset)] if offset or not parts else []), *parts])

    def expression(self, node: Node, shape: Shape, views: list[View]) -> Callable[[At], str]:
        """C for one entry of an elementwise operator, those fused into it included; `views` gets what it reads."""
        from ._elementwise import element

        parts: list[Callable[[At], str]] = []
        for t in node.inputs:
            if scalar(t) is not None:
                text = literal(scalar(t), t.dtype)
                parts.append(lambda at, text=text: text)  # type: ignore[misc]
            elif id(t) in self.fused and t.node is not None:
                parts.append(self.expression(t.node, shape, views))
            else:
                view = self.broadcast(t, shape)
                views.append(view)
                parts.append(lambda at, view=view: at(view))  # type: ignore[misc]
        return lambda at: element(node, [part(at) for part in parts])

    def write_elementwise(self, node: Node) -> None:
        views: list[View] = []
        value = self.expression(node, node.out.shape, views)
        out = View(self.result(node.out), 0, row_major(node.out.shape))
        self.loop(node.out.shape, [*views, out], lambda at: f"{at(out)} = {value(at)};")

    def reinterpret(self, node: Node) -> View:
        x, a = node.inputs[0], node.attrs
        if node.op == "Broadcast":
            return self.broadcast(x, node.out.shape)
        if node.op == "Reshape":
            self.flat(x)
        view = self.view(x)
        if node.op == "Reshape":
            return View(view.buffer, view.offset, row_major(node.out.shape))
        if node.op == "Transpose":
            return View(view.buffer, view.offset, tuple(view.strides[p] for p in a["perm"]))
        offset = sum(start * s for start, s in zip(a["starts"], view.strides, strict=True))
        strides = tuple(step * s for step, s in zip(a["steps"], view.strides, strict=True))
        return View(view.buffer, view.offset + offset, strides)

    def write_nodes(self) -> None:
        for node in self.graph.nodes():
            if id(node.out) in self.fused:
                continue
            self.step += 1
            if node.op in VIEWS:
                self.views[id(node.out)] = self.reinterpret(node)
                continue
            self.code.line(f"/* {node.op}: {safe(node.out.name)} {list(node.out.shape)} */")
            if node.op in ELEMENTWISE:
                self.write_elementwise(node)
            else:
                WRITERS.write(self, node)

    def copy_out(self, t: Tensor, target: Buffer) -> None:
        """An output that no node wrote where it belongs."""
        self.step += 1
        source, out = self.view(t), View(target, 0, row_major(t.shape))
        self.loop(t.shape, [source, out], lambda at: f"{at(out)} = {at(source)};")
