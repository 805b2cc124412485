"""What float32 leaves open: a policy's answers where each operation may round the other way, in other runtimes as correctly.

Every operation that rounds is moved at random by about one rounding of what it added up, or a few where runtimes use fits
(tanh, exp), while the decisions on the way (comparisons, positions, whole numbers) stand still. How far a number moves says how
many of its digits are the policy's. What does not move at all is *exact*: inputs, integers, what is copied, chosen, negated or
clipped, and sums and products that float32 holds.

Source: Parker 1997, Monte Carlo arithmetic; the magnitudes of sums: Higham 2002, ch. 3 and 4.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from perdure.graph import COMPARE, CORRECTLY_ROUNDED, FITTED, FITTED_TO_ONE, Graph, Node, evaluate, interpret

from ._tolerance import Arrays

SAMPLES = 8
EPSILON = 2.0**-23
FIT = 4 * EPSILON  # of the functions that runtimes fit by polynomials
WHOLE = 2.0**24  # float32 holds every integer below
SMALLEST = np.finfo(np.float32).tiny  # what is smaller is subnormal, and flushed to zero by some
SUMS = frozenset({"Dense", "MatMul", "Conv", "CumSum"})


def is_decision(node: Node) -> bool:
    """Whether floats become positions, conditions or whole numbers here: the answer jumps."""
    if node.op in ("AddInt8", "SubInt8"):
        return True
    if not node.inputs or node.inputs[0].dtype.kind != "f":
        return False
    jumps = node.op in COMPARE | {"ArgMax", "Round", "Floor", "Ceil", "Sign", "Rem", "Quantize"}
    return jumps or (node.op == "TopK" and node.attrs["index"]) or (node.op == "Cast" and node.out.dtype.kind != "f")


def decide(node: Node, x: list[np.ndarray], batch: int) -> np.ndarray:
    """What is decided: of a float remainder how often the second goes into the first, else the node's value."""
    if node.op == "Rem":
        return np.trunc(x[0].astype(np.float64) / x[1])
    return np.asarray(evaluate(node, x, batch))


def settled(node: Node, x: list[np.ndarray], answer: np.ndarray) -> np.ndarray:
    """The node's value, given its decision."""
    return x[0] - answer * x[1].astype(np.float64) if node.op == "Rem" else answer


def unactivated(node: Node) -> Node:
    """A layer without what is applied to its sums."""
    plain = Node(node.op, node.inputs, {**node.attrs, "activation": None})
    plain.out = node.out
    return plain


def rounding(node: Node, x: list[np.ndarray], y: np.ndarray, batch: int) -> np.ndarray | float:
    """How far another correct runtime may be from the value `y`; zero where nothing is rounded. Before an activation."""
    if node.out.dtype.kind != "f":
        return 0.0
    match node.op:
        case "Add" | "Sub" | "Mul":
            exact = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}[node.op](*(v.astype(np.float64) for v in x))
            return np.where(exact == y, 0.0, EPSILON * np.abs(y))
        case "Div":  # XLA multiplies with the reciprocal where the divisor is a constant
            return np.where(np.frexp(np.abs(x[1]))[0] == 0.5, 0.0, EPSILON * np.abs(y))
        case op if op in CORRECTLY_ROUNDED:
            return EPSILON * np.abs(y)
        case op if op in FITTED:
            return fit_error(node, x, np.abs(y))
        case "Reduce" if node.attrs["kind"] == "prod":
            return EPSILON * np.abs(y) * x[0].size / max(y.size, 1)
        case op if op in SUMS or (op in ("Reduce", "Pool") and node.attrs["kind"] == "sum"):
            return sum_error(node, x, y, batch)
    return 0.0


def fit_error(node: Node, x: list[np.ndarray], size: np.ndarray) -> np.ndarray:
    """Relative to the value, or to one where runtimes have no more digits than that."""
    if node.op in FITTED_TO_ONE:
        return np.full(size.shape, FIT)
    match node.op:
        case "Sin" | "Erf":
            return FIT * np.minimum(np.abs(x[0]), 1.0)
        case "Pow":
            return size * (FIT + EPSILON * np.abs(np.log(np.maximum(size, SMALLEST))))
        case "Softmax":
            below = x[0].max(node.attrs["axis"], keepdims=True) - x[0]
            return size * (FIT + EPSILON * np.abs(np.nan_to_num(below)))
    return FIT * size


def sum_error(node: Node, x: list[np.ndarray], y: np.ndarray, batch: int) -> np.ndarray:
    """One rounding of all that was added up; none where the terms are whole and few, or only one is not zero."""
    terms = [np.abs(v.astype(np.float64)) for v in x]
    added = np.asarray(evaluate(node, terms, batch))  # sum of |terms|
    count = np.asarray(evaluate(node, [(v != 0).astype(np.float64) for v in terms], batch))
    is_whole = all((v == np.rint(v)).all() for v in terms)
    is_exact = (added < WHOLE) if is_whole else (count <= 1) & (added == np.abs(y))
    return np.where(is_exact, 0.0, EPSILON * added)


def flushed(x: np.ndarray) -> np.ndarray:
    """Subnormal numbers as zero of their sign."""
    return np.where(np.abs(x) < SMALLEST, np.copysign(np.float32(0), x), x) if x.dtype.kind == "f" else x


@dataclasses.dataclass
class Way:
    """One way through the graph: its decisions, its answer, and how far rounding moves both.

    `before` and `moved` are the inputs of each decision, by its node's id: as they are, and in each sample.
    """

    outputs: Arrays
    samples: list[Arrays]
    answers: dict[int, np.ndarray]
    before: dict[int, list[np.ndarray]]
    moved: dict[int, list[list[np.ndarray]]]
    has_subnormals: bool


Forced = dict[tuple[int, int], np.generic]  # by node and entry: the decision there


def follow(graph: Graph, rows: Arrays, forced: Forced, *, flush: bool = False, batch: int = 1) -> Way:
    """The policy's answers with some decisions forced; with `flush`, where subnormal numbers are taken as zero."""
    way = Way({}, [], {}, {}, {}, any(has_subnormal(x) for x in rows.values()))
    rows = {name: flushed(x) for name, x in rows.items()} if flush else rows

    def first(node: Node, x: list[np.ndarray], count: int) -> np.ndarray:
        if is_decision(node):
            answer = np.array(decide(node, x, count), order="C")
            for (at, entry), value in forced.items():
                if at == id(node):
                    answer.reshape(-1)[entry] = value
            way.before[id(node)], way.answers[id(node)] = x, answer
            return settled(node, x, answer)
        y = np.asarray(evaluate(node, x, count)).astype(node.out.dtype)
        way.has_subnormals |= has_subnormal(y)
        return flushed(y) if flush else y

    way.outputs = interpret(graph, rows, batch, first)
    for seed in range(SAMPLES):
        way.samples.append(interpret(graph, rows, batch, sampler(way, np.random.default_rng(seed))))
    return way


def has_subnormal(x: np.ndarray) -> bool:
    return bool(x.dtype.kind == "f" and ((np.abs(x) < SMALLEST) & (x != 0)).any())


def sampler(way: Way, random: np.random.Generator) -> Callable[[Node, list[np.ndarray], int], np.ndarray]:
    """What computes a node with every rounding moved, and every decision as it was."""

    def moved(node: Node, x: list[np.ndarray], y: np.ndarray, count: int) -> np.ndarray:
        reach = np.nan_to_num(rounding(node, x, y, count), nan=0.0, posinf=0.0)
        if not np.any(reach):
            return y
        return (y + reach * random.choice((-1.0, 1.0), y.shape)).astype(node.out.dtype)

    def value_of(node: Node, x: list[np.ndarray], count: int) -> np.ndarray:
        if is_decision(node):
            way.moved.setdefault(id(node), []).append(x)
            return settled(node, x, way.answers[id(node)])
        activation = node.attrs.get("activation") if node.op in ("Dense", "Conv") else None
        plain = unactivated(node) if activation else node
        y = moved(plain, x, np.asarray(evaluate(plain, x, count)).astype(node.out.dtype), count)
        if activation is None:
            return y
        after = Node(activation, [node.out], {})
        after.out = node.out
        return moved(after, [y], np.asarray(evaluate(after, [y], count)), count)

    return value_of


def spread(way: Way, name: str) -> np.ndarray:
    """How far rounding moves each entry of an output; zero where it is exact or no number."""
    base = way.outputs[name].astype(np.float64)
    with np.errstate(invalid="ignore"):
        far = [np.abs(sample[name].astype(np.float64) - base) for sample in way.samples]
    return np.nan_to_num(np.max(far, axis=0), nan=0.0, posinf=0.0) if far else np.zeros(base.shape)
