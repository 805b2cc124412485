"""The engine of the passes: rules look at one node and give a replacement, until nothing changes."""

from collections.abc import Callable, Sequence
from typing import Any

from .._graph import Graph, Node, Tensor
from .._operators import emit

Rule = Callable[[Node, bool], Tensor | None]
"""`rule(node, is_sole_reader)`: a tensor of the same shape and dtype, or None. The flag says that nobody else reads the
node's inputs, so that absorbing their producers repeats no work."""

LIMIT = 100  # sweeps; every rule makes the graph simpler, so a graph that needs more has found two that fight


def identity_of(tensor: Tensor) -> Any:
    return (tensor.digest, tensor.shape, str(tensor.dtype)) if tensor.is_constant else id(tensor)


def rebuilt(node: Node, inputs: list[Tensor]) -> Node:
    """The node on new inputs; itself if they are the old ones."""
    if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
        return node
    made = emit(node.op, *inputs, where=node.where, scope=node.scope, **node.attrs).node
    assert made is not None
    return made


def rewrite(graph: Graph, rules: Sequence[Rule]) -> Graph:
    """Apply the rules everywhere until nothing changes; equal nodes become one."""
    for _ in range(LIMIT):
        graph, changed = sweep(graph, rules)
        if not changed:
            return graph
    raise AssertionError("rewrites do not terminate")


def sweep(graph: Graph, rules: Sequence[Rule]) -> tuple[Graph, bool]:
    uses, new, seen, changed = graph.uses(), dict[int, Tensor](), dict[Any, Tensor](), False
    for node in graph.nodes():
        inputs = [new.get(id(t), t) for t in node.inputs]
        key = (node.op, tuple(map(identity_of, inputs)), repr(sorted(node.attrs.items())))
        if key in seen:
            new[id(node.out)] = seen[key]
            continue
        current = rebuilt(node, inputs)
        is_sole_reader = all(uses[id(t)] == 1 for t in node.inputs)
        result = current.out
        for rule in rules:
            replacement = rule(current, is_sole_reader)
            if replacement is not None and replacement is not current.out:
                assert (replacement.shape, replacement.dtype) == (node.out.shape, node.out.dtype), (rule, node)
                inherit(replacement, node)
                result, changed = replacement, True
                break
        new[id(node.out)] = seen[key] = result
    return Graph(graph.inputs, [(name, new.get(id(t), t)) for name, t in graph.outputs]), changed


def inherit(tensor: Tensor, node: Node) -> None:
    """Nodes that a rule made stand for `node`: its source line and scope."""
    stack = [tensor.node]
    while stack:
        made = stack.pop()
        if made is not None and not made.where and not made.scope:
            made.where, made.scope = node.where, node.scope
            stack += [t.node for t in made.inputs]
