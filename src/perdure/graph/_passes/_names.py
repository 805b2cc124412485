"""Readable, unique names, safe in every target: inputs and outputs as the signature has them, weights after their place
in the module, values after the module that computes them."""

import dataclasses

from .._graph import Graph, Node, Tensor


def safe(text: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in text).strip("_")


def base_name(node: Node) -> str:
    """A layer is called after its weight's place in the policy, anything else after its scope and operator."""
    if node.op in ("Dense", "Conv") and "." in node.inputs[1].name:
        layer = safe(node.inputs[1].name.rsplit(".", 1)[0])
        return "_".join(filter(None, [layer, (node.attrs["activation"] or "").lower()]))
    return "_".join(filter(None, [safe(node.scope), node.op.lower()]))


def copied(graph: Graph) -> Graph:
    """The graph with tensors and nodes of its own; constants share their arrays."""
    new: dict[int, Tensor] = {}

    def copy_of(tensor: Tensor) -> Tensor:
        if id(tensor) not in new:
            new[id(tensor)] = dataclasses.replace(tensor, node=None)
        return new[id(tensor)]

    for node in graph.nodes():
        twin = Node(node.op, [copy_of(tensor) for tensor in node.inputs], node.attrs, node.where, node.scope)
        twin.out = copy_of(node.out)
        twin.out.node = twin
    return Graph([copy_of(t) for t in graph.inputs], [(name, copy_of(t)) for name, t in graph.outputs])


def name_tensors(graph: Graph) -> Graph:
    """The graph with a name for every tensor. It is a copy: graphs share what passes leave alone, but not its names."""
    graph = copied(graph)
    used = {t.name for t in graph.inputs} | {name for name, _ in graph.outputs}
    done = {id(t) for t in graph.inputs}

    def give(tensor: Tensor, base: str) -> None:
        if id(tensor) in done:
            return
        done.add(id(tensor))
        base = base or "value"
        name, count = base, 1
        while name in used:
            count += 1
            name = f"{base}_{count}"
        used.add(name)
        tensor.name = name

    for name, tensor in graph.outputs:
        if id(tensor) not in done and not tensor.is_constant:
            done.add(id(tensor))
            tensor.name = name
    for node in graph.nodes():
        for tensor in node.inputs:
            if tensor.is_constant:
                give(tensor, tensor.name or "constant")
        give(node.out, base_name(node))
    return graph
