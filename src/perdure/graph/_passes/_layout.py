"""Rules about the order of axes: transposes and broadcasts move towards the outputs until they cancel."""

import numpy as np

from .._graph import Graph, Node, Tensor, constant, producer, scalar
from .._operators import ELEMENTWISE, emit
from ._rewrite import rebuilt

THROUGH = ELEMENTWISE | {"Slice", "Reduce", "Concat", "Softmax", "CumSum"}


def drop_broadcast(node: Node, sole: bool) -> Tensor | None:
    """Elementwise operators broadcast by themselves; a number broadcast and reshaped is a number broadcast."""
    x = node.inputs[0]
    if node.op == "Reshape":
        source = producer(x, "Broadcast")
        if source is not None and scalar(source.inputs[0]) is not None:
            return emit("Broadcast", constant(source.inputs[0].value.reshape(())), shape=node.out.shape)
        return None
    if node.op not in ELEMENTWISE:
        return None
    if len(node.inputs) == 1:
        source = producer(x, "Broadcast")
        return (
            emit("Broadcast", emit(node.op, source.inputs[0], **node.attrs), shape=node.out.shape) if source else None
        )
    inputs = list(node.inputs)
    for i, t in enumerate(inputs):  # one after the other: not all may go where they make the shape together
        source = producer(t, "Broadcast")
        if source is not None:
            tried = [*inputs[:i], source.inputs[0], *inputs[i + 1 :]]
            if emit(node.op, *tried, **node.attrs).shape == node.out.shape:
                inputs = tried
    if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
        return None
    return emit(node.op, *inputs, **node.attrs)


def transpose_of_units(node: Node, sole: bool) -> Tensor | None:
    """A transpose that only moves axes of size one is a reshape."""
    if node.op != "Transpose":
        return None
    moved = [p for p in node.attrs["perm"] if node.inputs[0].shape[p] != 1]
    return emit("Reshape", node.inputs[0], shape=node.out.shape) if moved == sorted(moved) else None


def sink_transpose(node: Node, sole: bool) -> Tensor | None:
    """`op(transpose(x))` is `transpose(op(x))`, with the operator's axes renamed."""
    sources = [producer(t, "Transpose") for t in node.inputs]
    first = next((s for s in sources if s is not None), None)
    if first is None or node.op not in THROUGH:
        return None
    perm, rank = first.attrs["perm"], first.out.rank
    if len(node.inputs) > 1 and node.out.rank != rank:
        return None
    inverse = tuple(int(i) for i in np.argsort(perm))
    inputs: list[Tensor] = []
    for t, source in zip(node.inputs, sources, strict=True):
        if source is not None and source.attrs["perm"] == perm:
            inputs.append(source.inputs[0])
        elif t.is_constant and node.op != "Concat" and t.rank in (0, rank):
            inputs.append(constant(t.value.transpose(inverse) if t.rank else t.value, t.name))
        elif node.op in ELEMENTWISE and t.rank == rank and perm[0] == 0 and all(d == 1 for d in t.shape[1:]):
            inputs.append(t)
        else:
            return None
    attrs = dict(node.attrs)
    if node.op == "Slice":
        attrs = {k: tuple(attrs[k][i] for i in inverse) for k in ("starts", "sizes", "steps")}
    elif node.op in ("Concat", "Softmax", "CumSum"):
        attrs["axis"] = perm[attrs["axis"]]
    elif node.op == "Reduce":
        attrs["axes"] = tuple(sorted(perm[i] for i in attrs["axes"]))
        if not attrs["keep"]:
            left = [p for p in perm if p not in attrs["axes"]]
            perm = tuple(sorted(left).index(p) for p in left)
    return emit("Transpose", emit(node.op, *inputs, **attrs), perm=tuple(perm))


def argmax_of_transpose(node: Node, sole: bool) -> Tensor | None:
    """ArgMax with the axis renamed, where the other axes keep their order."""
    source = producer(node.inputs[0], "Transpose") if node.op == "ArgMax" and not node.attrs["keep"] else None
    if source is None:
        return None
    perm, axis = source.attrs["perm"], source.attrs["perm"][node.attrs["axis"]]
    left = [p for p in perm if p != axis]
    y = emit("ArgMax", source.inputs[0], axis=axis, keep=False)
    return emit("Transpose", y, perm=tuple(sorted(left).index(p) for p in left))


def without_units(t: Tensor) -> Tensor | None:
    """The input of a reshape that only adds or removes axes of size one."""
    node = producer(t, "Reshape")
    same = node is not None and [d for d in node.inputs[0].shape if d != 1] == [d for d in t.shape if d != 1]
    return node.inputs[0] if node is not None and same else None


def raise_transpose(node: Node, sole: bool) -> Tensor | None:
    """The transpose of a unit reshape is a unit reshape of a transpose, so that transposes meet."""
    if node.op != "Transpose":
        return None
    x, perm = node.inputs[0], node.attrs["perm"]
    y = without_units(x)
    if y is not None:
        wide = [i for i in range(x.rank) if x.shape[i] != 1]
        real = [i for i in range(y.rank) if y.shape[i] != 1]
        order = iter([real[wide.index(p)] for p in perm if p in wide])
        inner = tuple(i if y.shape[i] == 1 else next(order) for i in range(y.rank))
        return emit("Reshape", emit("Transpose", y, perm=inner), shape=node.out.shape)
    join = producer(x, "Concat")
    if join is not None and sole and all(without_units(t) is not None for t in join.inputs):  # a stack under vmap
        return emit(
            "Concat", *[emit("Transpose", t, perm=perm) for t in join.inputs], axis=perm.index(join.attrs["axis"])
        )
    return None


def keep_dims(node: Node, sole: bool) -> Tensor | None:
    """A reshape after a reduction that puts its axes back, or takes them away, is the other form of the reduction."""
    source = node.inputs[0].node
    if node.op != "Reshape" or not sole or source is None or source.op not in ("Reduce", "ArgMax"):
        return None
    other = emit(source.op, *source.inputs, **{**source.attrs, "keep": not source.attrs["keep"]})
    return other if other.shape == node.out.shape else None


RULES = (drop_broadcast, keep_dims, transpose_of_units, raise_transpose, sink_transpose, argmax_of_transpose)


def channels_last(graph: Graph) -> Graph:
    """Every convolution and pooling in NHWC, between transposes that `simplify` then cancels (C, TFLite, TF.js)."""
    new: dict[int, Tensor] = {}
    for node in graph.nodes():
        inputs = [new.get(id(t), t) for t in node.inputs]
        if node.op in ("Conv", "Pool") and node.attrs["layout"] == "NCHW":
            x = emit("Transpose", inputs[0], perm=(0, 2, 3, 1), where=node.where, scope=node.scope)
            attrs = {**node.attrs, "layout": "NHWC"}
            y = emit(node.op, x, *inputs[1:], where=node.where, scope=node.scope, **attrs)
            new[id(node.out)] = emit("Transpose", y, perm=(0, 3, 1, 2), where=node.where, scope=node.scope)
        else:
            new[id(node.out)] = rebuilt(node, inputs).out
    return Graph(graph.inputs, [(name, new.get(id(t), t)) for name, t in graph.outputs])
