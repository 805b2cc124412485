"""Targets whose writers are wrong: the graph that they write is not the policy's in one place."""

import dataclasses
from collections.abc import Callable

import numpy as np

from perdure.export.targets import Target, Written
from perdure.graph import Graph, Node, Tensor, constant, emit, name_tensors, rebuilt

Change = Callable[[Node, list[Tensor]], Tensor | None]


def rewired(graph: Graph, change: Change) -> Graph:
    """A copy in which `change(node, its new inputs)` stands for each node, unless it is None."""
    new: dict[int, Tensor] = {}
    for node in graph.nodes():
        inputs = [new.get(id(t), t) for t in node.inputs]
        made = change(node, inputs)
        new[id(node.out)] = rebuilt(node, inputs).out if made is None else made
    return name_tensors(Graph(graph.inputs, [(name, new.get(id(t), t)) for name, t in graph.outputs]))


def faulty(target: Target, change: Change) -> Target:
    """The target with a writer that writes the changed graph."""

    def write(program, directory, name) -> Written:
        return target.write(dataclasses.replace(program, graph=rewired(program.graph, change)), directory, name)

    return dataclasses.replace(target, write=write)


def like(value, tensor: Tensor) -> Tensor:
    """A constant of the tensor's rank and dtype."""
    return constant(np.full((1,) * tensor.rank, value, tensor.dtype))


def last_of_equals(node: Node, inputs: list[Tensor]) -> Tensor | None:
    """ArgMax that takes the last of equals, as some runtimes do."""
    if node.op != "ArgMax":
        return None
    axis = node.attrs["axis"]
    count = inputs[0].shape[axis]
    backwards = emit(
        "Gather", inputs[0], constant(np.arange(count - 1, -1, -1, dtype=np.int32)), axis=axis, batch_dims=0
    )
    position = emit("ArgMax", backwards, axis=axis, keep=node.attrs["keep"])
    return emit("Sub", like(count - 1, position), position)


def scaled(op: str, factor: float) -> Change:
    """A constant factor of each such operator is another by `factor`."""

    def change(node: Node, inputs: list[Tensor]) -> Tensor | None:
        if node.op != op or not inputs[1].is_constant or inputs[1].dtype.kind != "f":
            return None
        return emit(op, inputs[0], constant((inputs[1].value * np.float32(factor)).astype(np.float32)))

    return change
