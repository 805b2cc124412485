"""Rules that make one operator of several: Softmax, and Dense and Conv with bias and activation."""

import numpy as np

from .._graph import Node, Tensor, constant, producer, size
from .._operators import ACTIVATIONS, channel_axis, emit


def softmax(node: Node, sole: bool) -> Tensor | None:
    """`exp(x - max x) / sum(exp(x - max x))`"""
    if node.op != "Div":
        return None
    exp, total = producer(node.inputs[0], "Exp"), producer(node.inputs[1], "Reduce")
    if exp is None or total is None or total.attrs["kind"] != "sum" or not total.attrs["keep"]:
        return None
    shifted = producer(exp.inputs[0], "Sub")
    largest = producer(shifted.inputs[1], "Reduce") if shifted is not None else None
    if shifted is None or largest is None or total.inputs[0] is not exp.out:
        return None
    is_max = largest.attrs["kind"] == "max" and largest.attrs["keep"] and largest.attrs["axes"] == total.attrs["axes"]
    if is_max and len(total.attrs["axes"]) == 1 and largest.inputs[0] is shifted.inputs[0]:
        return emit("Softmax", shifted.inputs[0], axis=total.attrs["axes"][0])
    return None


def linear(t: Tensor) -> Node | None:
    """The Dense or Conv without activation that computes `t`."""
    node = t.node
    return node if node is not None and node.op in ("Dense", "Conv") and node.attrs["activation"] is None else None


def activation(node: Node, sole: bool) -> Tensor | None:
    source = linear(node.inputs[0])
    if node.op not in ACTIVATIONS or not sole or source is None:
        return None
    return emit(source.op, *source.inputs, **{**source.attrs, "activation": node.op})


def bias(node: Node, sole: bool) -> Tensor | None:
    if node.op != "Add" or not sole:
        return None
    for i, j in ((0, 1), (1, 0)):
        source, c = linear(node.inputs[i]), node.inputs[j]
        if source is None or not c.is_constant or node.out.shape != source.out.shape:
            continue
        units = source.inputs[1].shape[0]
        shape = [1] * source.out.rank
        shape[channel_axis(source.attrs["layout"]) if source.op == "Conv" else -1] = units
        if c.value.size != 1 and ((1,) * (len(shape) - c.rank) + c.shape != tuple(shape)):
            continue
        value = np.broadcast_to(c.value.ravel(), (units,))
        value = value + source.inputs[2].value if len(source.inputs) > 2 else value.copy()
        return emit(source.op, *source.inputs[:2], constant(value, c.name), **source.attrs)
    return None


def flatten_into_weight(node: Node, sole: bool) -> Tensor | None:
    """Dense after a flattened transpose: the order of the features goes into the weight."""
    x = node.inputs[0]
    flat = producer(x, "Reshape") if node.op == "Dense" and x.rank == 2 else None
    turn = producer(flat.inputs[0], "Transpose") if flat is not None else None
    if turn is None or turn.attrs["perm"][0] != 0 or size(turn.out.shape[1:]) != x.shape[1]:
        return None
    inverse = [int(i) for i in np.argsort(turn.attrs["perm"])]
    weight = node.inputs[1]
    turned = weight.value.reshape(-1, *turn.out.shape[1:]).transpose(inverse).reshape(weight.shape)
    x = emit("Reshape", turn.inputs[0], shape=x.shape)
    return emit("Dense", x, constant(turned, weight.name), *node.inputs[2:], **node.attrs)


RULES = (softmax, activation, bias, flatten_into_weight)
