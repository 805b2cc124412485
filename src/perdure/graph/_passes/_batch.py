"""The same graph for one observation: with a batch of one (C, TFLite), or with no batch axis at all."""

import numpy as np

from .._graph import Graph, Shape, Tensor, constant, producer
from .._operators import BINARY, emit


def concrete(shape: Shape) -> Shape:
    return tuple(abs(d) for d in shape)


def at_batch_one(graph: Graph) -> Graph:
    """Every dimension of `k * batch` becomes k."""
    new = {id(t): Tensor(concrete(t.shape), t.dtype, t.name) for t in graph.inputs}
    for node in graph.nodes():
        attrs = {k: concrete(v) if k in ("shape", "sizes") else v for k, v in node.attrs.items()}
        inputs = [new.get(id(t), t) for t in node.inputs]
        new[id(node.out)] = emit(node.op, *inputs, where=node.where, scope=node.scope, **attrs)
    return Graph([new[id(t)] for t in graph.inputs], [(name, new.get(id(t), t)) for name, t in graph.outputs])


def without_batch(graph: Graph) -> Graph:
    """One item in, one item out: the batch axis is put on behind the inputs and taken off before the outputs."""
    graph = at_batch_one(graph)
    inputs = [Tensor(t.shape[1:], t.dtype, t.name) for t in graph.inputs]
    new = {id(t): emit("Reshape", x, shape=t.shape) for t, x in zip(graph.inputs, inputs, strict=True)}
    for node in graph.nodes():
        arguments = [new.get(id(t), t) for t in node.inputs]
        new[id(node.out)] = emit(node.op, *arguments, where=node.where, scope=node.scope, **node.attrs)
    outputs = [(name, emit("Reshape", new.get(id(t), t), shape=t.shape[1:])) for name, t in graph.outputs]
    return Graph(inputs, outputs)


def absorb_first_reshape(graph: Graph) -> Graph:
    """Where a constant meets an input that has just been given its axis of one, let the constant bring the axis."""
    starts = {id(t) for t in graph.inputs}
    new: dict[int, Tensor] = {}
    for node in graph.nodes():
        inputs = [new.get(id(t), t) for t in node.inputs]
        for i, j in ((0, 1), (1, 0)):
            lift = producer(inputs[i], "Reshape") if node.op in BINARY else None
            if lift is None or id(lift.inputs[0]) not in starts or not inputs[j].is_constant:
                continue
            if lift.out.shape == (1, *lift.inputs[0].shape) == node.out.shape:
                value = inputs[j].value
                inputs[i] = lift.inputs[0]
                inputs[j] = constant(
                    value.reshape((1,) * (node.out.rank - np.ndim(value)) + value.shape), inputs[j].name
                )
                break
        new[id(node.out)] = emit(node.op, *inputs, where=node.where, scope=node.scope, **node.attrs)
    return Graph(graph.inputs, [(name, new.get(id(t), t)) for name, t in graph.outputs])
