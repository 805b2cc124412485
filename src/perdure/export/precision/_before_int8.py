"""What is done to a float graph before it becomes int8: the same function, in a form that loses less of it."""

import numpy as np

from perdure.graph import Graph, Node, Tensor, channels_last, constant, emit, producer, rebuilt, rewrite

from ._ranges import FIXED

LAYERS = frozenset({"Dense", "Conv"})


def unfused(graph: Graph) -> Graph:
    """Tanh and Sigmoid apart from their layer: what goes into them has a scale of its own. And a product for Neg."""
    new: dict[int, Tensor] = {}
    for node in graph.nodes():
        inputs = [new.get(id(t), t) for t in node.inputs]
        kind = node.attrs.get("activation")
        if node.op in LAYERS and kind in FIXED:
            plain = {**node.attrs, "activation": None}
            y = emit(node.op, *inputs, where=node.where, scope=node.scope, **plain)
            new[id(node.out)] = emit(kind, y, where=node.where, scope=node.scope)
        elif node.op == "Neg" and node.out.dtype == np.float32:
            new[id(node.out)] = emit("Mul", *inputs, constant(np.float32(-1)), where=node.where, scope=node.scope)
        else:
            new[id(node.out)] = rebuilt(node, inputs).out
    return Graph(graph.inputs, [(name, new.get(id(t), t)) for name, t in graph.outputs])


def is_only_compared(t: Tensor, readers: dict[int, list[Node]]) -> bool:
    """Whether all that happens to the entries of a row is that the largest is looked for, illegal ones masked or not."""
    if not readers.get(id(t)):
        return False
    for node in readers[id(t)]:
        is_mask = node.op == "Where" and node.inputs[1] is t and node.inputs[2].is_constant
        if is_mask and node.out.shape == t.shape and is_only_compared(node.out, readers):
            continue
        if node.op != "ArgMax" or node.attrs["axis"] not in (t.rank - 1, -1):
            return False
    return True


def centred(graph: Graph) -> Graph:
    """A last layer whose largest output is the action without what all its outputs share.

    Q-values near -80 that differ by 0.3 would be one byte. Their differences alone have a scale of their own.
    """
    readers: dict[int, list[Node]] = {}
    for node in graph.nodes():
        for t in node.inputs:
            readers.setdefault(id(t), []).append(node)
    given_out = {id(t) for _, t in graph.outputs}
    new: dict[int, Tensor] = {}
    for node in graph.nodes():
        inputs = [new.get(id(t), t) for t in node.inputs]
        is_plain = node.op == "Dense" and node.attrs["activation"] is None and id(node.out) not in given_out
        if is_plain and is_only_compared(node.out, readers):
            values = [t.value.astype(np.float64) for t in inputs[1:]]
            shared = [
                constant((v - v.mean(0)).astype(np.float32), t.name) for v, t in zip(values, inputs[1:], strict=True)
            ]
            inputs = [inputs[0], *shared]
        new[id(node.out)] = rebuilt(node, inputs).out
    return Graph(graph.inputs, [(name, new.get(id(t), t)) for name, t in graph.outputs])


def narrowed(node: Node, sole: bool) -> Tensor | None:
    """A layer without the outputs that nobody reads, such as a log-deviation: they would widen its scale."""
    layer, a = producer(node.inputs[0], "Dense"), node.attrs
    if node.op != "Slice" or not sole or layer is None or node.out.shape[:-1] != layer.out.shape[:-1]:
        return None
    if any(step != 1 for step in a["steps"]):
        return None
    kept = slice(a["starts"][-1], a["starts"][-1] + a["sizes"][-1])
    parts = [constant(t.value[kept], t.name) for t in layer.inputs[1:]]
    return emit("Dense", layer.inputs[0], *parts, **layer.attrs)


def prepared(graph: Graph) -> Graph:
    """All of these, channels last."""
    return unfused(centred(rewrite(channels_last(graph), (narrowed,))))
