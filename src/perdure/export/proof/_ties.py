"""Excuses, which are earned: whether an answer is one that the policy itself gives, as float32 rounds here or elsewhere.

The graph of the policy is followed for one row. A decision whose numbers rounding could move across the border is *open*: each
other answer of it is another way through the graph, computed to the end. An answer is excused if all outputs of the row are
those of one way, as far as rounding leaves them open. A decision on exact numbers is never open: of equals the first one counts,
half rounds to even.
"""

from collections.abc import Iterator

import numpy as np

from perdure.export.program import Port
from perdure.graph import COMPARE, Graph, Node
from perdure.graph.int8 import to_bytes, total

from ._rounding import EPSILON, Forced, Way, decide, follow, spread
from ._tolerance import COARSE_SUM, MARGIN, TOLERANCE, Arrays, scale_of

ROUNDINGS = 4.0  # other runtimes may be that much further off than the samples were
MAX_WAYS = 64  # that are followed for one row


def reach_of(values: np.ndarray, samples: list[np.ndarray]) -> np.ndarray:
    """How far rounding may move numbers; zero where they are exact, or none."""
    with np.errstate(all="ignore"):
        far = np.max([np.abs(sample - values) for sample in samples], axis=0)
    return ROUNDINGS * np.nan_to_num(far, nan=0.0, posinf=0.0)


def numbers_of(node: Node, x: list[np.ndarray]) -> np.ndarray:
    """What decides, as one number that is compared with borders: a difference, a quotient, or the number itself."""
    wide = [np.asarray(v, np.float64) for v in x]
    with np.errstate(all="ignore"):
        match node.op:
            case op if op in COMPARE:
                return wide[0] - wide[1]
            case "Rem":
                return wide[0] / wide[1]
            case "AddInt8" | "SubInt8":
                return total(node, *x)
            case "Quantize":
                return wide[0] / node.attrs["to"][0]
    return wide[0]


def answer_at(node: Node, number: np.ndarray) -> np.ndarray:
    """What is decided for such numbers."""
    match node.op:
        case "Lt":
            return number < 0
        case "Le":
            return number <= 0
        case "Eq":
            return number == 0
        case "Rem":
            return np.trunc(number)
        case "AddInt8" | "SubInt8" | "Quantize":
            return to_bytes(number, node.attrs["to"][1])
    return decide(node, [number], 1).astype(node.out.dtype)


def extra_reach(node: Node, number: np.ndarray) -> np.ndarray | float:
    """Of what the operator itself rounds before it decides."""
    match node.op:
        case "AddInt8" | "SubInt8":
            return COARSE_SUM * MARGIN
        case "Quantize":  # runtimes multiply with the reciprocal of the scale
            return 2 * EPSILON * np.abs(number)
    return 0.0


def other_numbers(way: Way, node: Node) -> Iterator[Forced]:
    """Other answers of a decision entry by entry: just below, just above, and where the number may be zero."""
    x = way.before[id(node)]
    number = numbers_of(node, x)
    reach = reach_of(number, [numbers_of(node, sample) for sample in way.moved[id(node)]]) + extra_reach(node, number)
    zero = np.where(np.abs(number) <= reach, 0.0, number)
    taken = np.broadcast_to(way.answers[id(node)], number.shape).reshape(-1)
    for moved in (number - reach, number + reach, zero):
        answers = np.asarray(answer_at(node, moved)).reshape(-1)
        is_open = (reach.reshape(-1) > 0) & (answers != taken)
        for entry in np.flatnonzero(is_open):
            yield {(id(node), int(entry)): answers[entry]}


def other_positions(way: Way, node: Node) -> Iterator[Forced]:
    """Of an ArgMax each other entry that may be the largest."""
    axis, answer = node.attrs["axis"], way.answers[id(node)]
    taken = answer if node.attrs["keep"] else np.expand_dims(answer, axis)

    def behind(x: np.ndarray) -> np.ndarray:
        wide = np.asarray(x, np.float64)
        return np.take_along_axis(wide, taken, axis) - wide

    with np.errstate(all="ignore"):
        gap = behind(way.before[id(node)][0])
        reach = reach_of(gap, [behind(x[0]) for x in way.moved[id(node)]])
    found = np.moveaxis((reach > 0) & (gap <= reach), axis, -1).reshape(answer.size, -1)
    for entry, position in np.argwhere(found):
        yield {(id(node), int(entry)): position}


def other_orders(way: Way, node: Node) -> Iterator[Forced]:
    """Of the positions of a TopK neighbours that may stand the other way round, the one that is just left out included."""
    x, k = np.asarray(way.before[id(node)][0], np.float64), node.attrs["k"]
    order = np.argsort(-x if node.attrs["largest"] else x, -1, kind="stable")[..., : k + 1]
    order[..., :k] = way.answers[id(node)]

    def gaps(values: np.ndarray) -> np.ndarray:
        return np.diff(np.take_along_axis(np.asarray(values, np.float64), order, -1), axis=-1)

    with np.errstate(all="ignore"):
        gap = gaps(x)
        reach = reach_of(gap, [gaps(moved[0]) for moved in way.moved[id(node)]])
    is_open = ((reach > 0) & (np.abs(gap) <= reach)).reshape(-1, gap.shape[-1])
    for line, at in np.argwhere(is_open):
        positions = order.reshape(-1, order.shape[-1])[line]
        swapped = {(id(node), int(line * k + at)): positions[at + 1]}
        if at + 1 < k:
            swapped[id(node), int(line * k + at + 1)] = positions[at]
        yield swapped


def other_answers(way: Way, nodes: list[Node]) -> Iterator[Forced]:
    """Each open decision taken another way."""
    for node in nodes:
        if id(node) not in way.moved:
            continue
        if node.op == "ArgMax":
            yield from other_positions(way, node)
        elif node.op == "TopK":
            yield from other_orders(way, node)
        else:
            yield from other_numbers(way, node)


def ways(graph: Graph, row: Arrays) -> Iterator[Way]:
    """The ways of one row (a batch of one): the straight one first, those with few decisions forced before those with more."""
    nodes, started = graph.nodes(), 0
    waiting: list[tuple[Forced, bool]] = [({}, False)]
    seen: set[tuple[frozenset[tuple[object, ...]], bool]] = {(frozenset(), False)}
    while waiting and started < MAX_WAYS:
        forced, flush = waiting.pop(0)
        way = follow(graph, row, forced, flush=flush)
        started += 1
        yield way
        further: list[tuple[Forced, bool]] = [({}, True)] if way.has_subnormals and not flush and not forced else []
        further += [(forced | more, flush) for more in other_answers(way, nodes) if not more.keys() & forced.keys()]
        for choice, is_flushed in further:
            name = (frozenset((*key, value.item()) for key, value in choice.items()), is_flushed)
            if name not in seen:
                seen.add(name)
                waiting.append((choice, is_flushed))


def is_way(way: Way, ports: tuple[Port, ...], answer: Arrays) -> bool:
    """Whether all outputs of a row (a batch of one) are those of the way."""
    return all(matches(way, port, answer[port.name]) for port in ports)


def matches(way: Way, port: Port, got: np.ndarray) -> bool:
    want = way.outputs[port.name]
    if port.dtype.kind != "f":
        return bool((got == want).all())
    near = TOLERANCE * scale_of(port, want) + ROUNDINGS * spread(way, port.name)
    with np.errstate(invalid="ignore"):
        fine = (got == want) | (np.isnan(got) & np.isnan(want)) | (np.abs(got - want.astype(np.float64)) <= near)
    return bool(fine.all())


def is_answer(graph: Graph, ports: tuple[Port, ...], row: Arrays, answer: Arrays) -> bool:
    """Whether the graph gives this answer to a row (both a batch of one) as float32 rounds here or elsewhere."""
    return any(is_way(way, ports, answer) for way in ways(graph, row))


def is_firm(graph: Graph, row: Arrays) -> bool:
    """Whether no decision of the row (a batch of one) is open, so that every correct runtime takes the same."""
    way = follow(graph, row, {})
    return not way.has_subnormals and next(other_answers(way, graph.nodes()), None) is None
