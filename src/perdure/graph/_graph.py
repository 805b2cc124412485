"""A small tensor graph: what the tracer makes, the passes rewrite and every writer consumes.

A dimension is an int. A negative dimension `-k` stands for `k * batch`; at most one dimension of a tensor is symbolic.
Each node has exactly one output. A graph holds only its inputs and outputs: its nodes are whatever the outputs reach,
so dead code needs no pass. `_operators` says which operators there are and what shape each one gives.
"""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from perdure._core import ExportError

Shape = tuple[int, ...]
DTYPES = {np.dtype(name) for name in ("bool", "int8", "uint8", "int32", "float32")}


@dataclasses.dataclass(eq=False)
class Tensor:
    """A value: a constant (`value` is set), an input of the graph (neither is set) or what `node` computes."""

    shape: Shape
    dtype: Any  # numpy dtype; while tracing also that of a JAX key
    name: str = ""
    value: Any = None  # numpy array; while tracing also a JAX key
    node: "Node | None" = None

    @property
    def is_constant(self) -> bool:
        return self.value is not None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @functools.cached_property
    def digest(self) -> bytes:
        """Of a constant's content: equal constants are one."""
        return hashlib.sha256(np.asarray(self.value, order="C").tobytes()).digest()


@dataclasses.dataclass(eq=False)
class Node:
    """One operator. `where` is the user's source line, `scope` the module path it came from: for messages and names."""

    op: str
    inputs: list[Tensor]
    attrs: dict[str, Any]
    where: str = ""
    scope: str = ""
    out: Tensor = dataclasses.field(init=False)


@dataclasses.dataclass
class Graph:
    inputs: list[Tensor]
    outputs: list[tuple[str, Tensor]]

    def nodes(self) -> list[Node]:
        """Everything the outputs need, producers first; the order depends on the graph alone."""
        order: list[Node] = []
        seen: set[int] = set()
        stack = [(tensor.node, False) for _, tensor in reversed(self.outputs)]
        while stack:
            node, is_ready = stack.pop()
            if node is None or (id(node) in seen and not is_ready):
                continue
            if is_ready:
                order.append(node)
                continue
            seen.add(id(node))
            stack.append((node, True))
            stack += [(t.node, False) for t in reversed(node.inputs) if t.node is not None and id(t.node) not in seen]
        return order

    def uses(self) -> dict[int, int]:
        """How often each tensor, by id, is read by a node or given out."""
        count: dict[int, int] = {}
        reads = [t for node in self.nodes() for t in node.inputs] + [t for _, t in self.outputs]
        for tensor in reads:
            count[id(tensor)] = count.get(id(tensor), 0) + 1
        return count

    def __str__(self) -> str:
        def show(t: Tensor) -> str:
            return str(t.value.item()) if t.is_constant and t.value.size == 1 else f"{t.name}{list(t.shape)}"

        lines = [f"{show(n.out)} = {n.op}({', '.join(map(show, n.inputs))}) {n.attrs or ''}" for n in self.nodes()]
        return "\n".join(line.rstrip() for line in lines)


def constant(value: ArrayLike, name: str = "") -> Tensor:
    array = np.asarray(value)
    return Tensor(tuple(array.shape), array.dtype, name, array)


def size(shape: Iterable[int]) -> int:
    """Number of entries; negative where one dimension is a multiple of the batch."""
    return math.prod(shape)


def bind(shape: Iterable[int], batch: int) -> Shape:
    """The concrete shape for a batch size."""
    return tuple(d if d >= 0 else -d * batch for d in shape)


def broadcast_shapes(shapes: Sequence[Shape]) -> Shape:
    rank = max(map(len, shapes))
    out = []
    for dims in zip(*[(1,) * (rank - len(s)) + tuple(s) for s in shapes], strict=True):
        wide = {d for d in dims if d != 1}
        if len(wide) > 1:
            raise ExportError(f"shapes {', '.join(map(str, shapes))} do not broadcast")
        out.append(wide.pop() if wide else 1)
    return tuple(out)


def is_op(tensor: Tensor, op: str) -> bool:
    return tensor.node is not None and tensor.node.op == op


def producer(tensor: Tensor, op: str) -> Node | None:
    """The node that computes `tensor`, if it is of this kind."""
    return tensor.node if is_op(tensor, op) else None


def scalar(tensor: Tensor) -> Any:
    """The Python number of a constant with one entry, else None."""
    return tensor.value.item() if tensor.is_constant and tensor.value.size == 1 else None
