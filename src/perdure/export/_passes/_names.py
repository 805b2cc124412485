"""Readable, unique names, safe in every target: inputs and outputs as the signature has them, weights after their place
in the module, values after the module that computes them."""

from .._graph import Graph, Node, Tensor


def safe(text: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in text).strip("_")


def base_name(node: Node) -> str:
    """A layer is called after its weight's place in the policy, anything else after its scope and operator."""
    if node.op in ("Dense", "Conv") and "." in node.inputs[1].name:
        layer = safe(node.inputs[1].name.rsplit(".", 1)[0])
        return "_".join(filter(None, [layer, (node.attrs["activation"] or "").lower()]))
    return "_".join(filter(None, [safe(node.scope), node.op.lower()]))


def name_tensors(graph: Graph) -> Graph:
    """Name every tensor of the graph, in place."""
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
