"""What the NaN guard asks of a graph: where NaN may arise, what it would be lost in, where it stays visible."""

from collections.abc import Sequence

import numpy as np

from perdure.graph import COMPARE, Graph, Node, Tensor

STRUCTURAL = frozenset({"Reshape", "Transpose", "Broadcast", "Slice", "Concat", "Pad"})
SATURATING = frozenset({"Clip", "Tanh", "Sigmoid", "Max", "Min", "Relu"})
AFFINE = frozenset({"Add", "Sub", "Mul", "Div"})
CARRIERS = (
    AFFINE
    | SATURATING
    | frozenset(
        [
            "Neg",
            "Abs",
            "Exp",
            "Expm1",
            "Log",
            "Log1p",
            "Sqrt",
            "Erf",
            "Sin",
            "Cos",
            "Atan",
            "Sinh",
            "Cosh",
            "Floor",
            "Ceil",
            "Round",
        ]
    )
)
MASKING = -1e6  # a logit as low as this says "not legal"
MAKES_NAN = frozenset(["Log", "Log1p", "Sqrt", "Pow", "Rem", "Asin", "Acos", "Div"])


def is_float(t: Tensor) -> bool:
    return t.dtype.kind == "f"


def may_be_nan(graph: Graph) -> set[int]:
    """Tensors that depend on a float input, or on an operation that may give NaN by itself."""
    suspects = {id(t) for t in graph.inputs if is_float(t)}
    for node in graph.nodes():
        constants = [t for t in node.inputs if t.is_constant and is_float(t)]
        is_safe_division = node.op == "Div" and node.inputs[1].is_constant and bool(np.all(node.inputs[1].value))
        makes_nan = node.op in MAKES_NAN and is_float(node.out) and not is_safe_division
        if (
            makes_nan
            or any(id(t) in suspects for t in node.inputs)
            or not all(np.isfinite(t.value).all() for t in constants)
        ):
            suspects.add(id(node.out))
    return suspects


def deciding_nodes(graph: Graph, action_names: Sequence[str]) -> set[int]:
    """Nodes from which an integer action is reached without passing through floats."""
    found: set[int] = set()
    stack = [t for name, t in graph.outputs if name in action_names and not is_float(t)]
    while stack:
        node = stack.pop().node
        if node is not None and id(node) not in found:
            found.add(id(node))
            stack += [t for t in node.inputs if not is_float(t)]
    return found


def root(x: Tensor) -> Tensor:
    """The tensor that is NaN where `x` is: what stands before negation and arithmetic with constants."""
    while x.node is not None and x.node.op in AFFINE | {"Neg", "Abs"}:
        varying = [t for t in x.node.inputs if not t.is_constant]
        if len(varying) != 1:
            break
        x = varying[0]
    return x


def compared(condition: Tensor) -> tuple[Node, bool] | None:
    """The comparison of floats behind a condition, and what the condition is where one of them is NaN."""
    node, answer = condition.node, False
    while node is not None and node.op == "Not":
        node, answer = node.inputs[0].node, not answer
    return (node, answer) if node is not None and node.op in COMPARE and is_float(node.inputs[0]) else None


def carries(t: Tensor, x: Tensor, depth: int = 16) -> bool:
    """Whether `t` is NaN, entry by entry, wherever `x` is."""
    if t is x or root(t) is root(x):
        return True
    node = t.node
    if node is None or depth == 0:
        return False
    if node.op == "Where":
        test = compared(node.inputs[0])
        looks_at_x = test is not None and any(root(v) is root(x) for v in test[0].inputs if not v.is_constant)
        taken = node.inputs[1:] if test is None or not looks_at_x else [node.inputs[1 if test[1] else 2]]
        return all(carries(v, x, depth - 1) for v in taken)
    return node.op in CARRIERS and any(carries(v, x, depth - 1) for v in node.inputs if not v.is_constant)


def is_masked(t: Tensor) -> bool:
    """Whether `t` comes straight from a Where that puts a huge negative number where an action is not legal."""
    node = t.node
    if node is None or node.op not in STRUCTURAL | {"Where"}:
        return False
    branches = node.inputs[1:] if node.op == "Where" else []
    return any(v.is_constant and np.all(v.value <= MASKING) for v in branches) or any(map(is_masked, node.inputs))


def is_own_test(node: Node) -> bool:
    """isnan, isfinite, or a comparison with an infinity: the author means it."""
    return node.inputs[0] is node.inputs[1] or any(t.is_constant and np.isinf(t.value).all() for t in node.inputs)


def squashing_chain(t: Tensor) -> list[Node]:
    """From a float output back to the first clip or squash on the way to it: arithmetic with constants between them.

    Empty if there is none.
    """
    chain, length, current = list[Node](), 0, t
    while (node := current.node) is not None:
        is_last_layer = node.op in ("Dense", "Conv") and node.attrs["activation"] in SATURATING
        varying = [v for v in node.inputs if not v.is_constant]
        is_plain = node.op in AFFINE | SATURATING | {"Neg", "Reshape", "Transpose", "Slice"} and len(varying) == 1
        if not (is_last_layer or is_plain):
            break
        chain.append(node)
        if is_last_layer or node.op in SATURATING:
            length = len(chain)
        if is_last_layer:
            break
        current = varying[0]
    return chain[:length]
