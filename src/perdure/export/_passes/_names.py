"""Readable, unique names, safe in every target: inputs and outputs as the signature has them, weights after their place
in the module, values after the module that computes them."""

from .._graph import Graph, Tensor


def safe(text: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in text).strip("_")


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
        give(node.out, "_".join(filter(None, [safe(node.scope), node.op.lower()])))
    return graph
