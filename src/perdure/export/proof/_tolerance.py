"""How answers are compared: which differences are errors, and which are the limits of float32.

- A float may differ by `TOLERANCE` of its range: the action's bounds, or 1 + |value| where there are none.
- An integer must be equal.
- A row that differs more is excused only if its whole answer is one that the policy itself gives where float32 rounds otherwise
  (`_ties`). Excused rows are counted, told with the size of the largest, and few.

`near_ties` judges no answer: it tells rows near a decision, which another machine may not reproduce.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from perdure.export.program import Port
from perdure.graph import COMPARE, Graph, Node, interpret
from perdure.graph.int8 import HIGH, LOW, total
from perdure.space import Box

TOLERANCE = 1e-5
MARGIN = 1e-4
MAX_TIE_SHARE = 0.05  # more rows at the limit than this is not chance
ROUNDED = frozenset({"Quantize", "AddInt8", "SubInt8"})  # numbers that become bytes
COARSE_SUM = 4.0  # LiteRT adds bytes with multipliers of 21 bits: it may take the other byte that much further off
Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Row by row: `errors` relative to the range, `equal` integer actions, `excused` if at the limit of float32."""

    errors: np.ndarray
    equal: np.ndarray
    excused: np.ndarray

    @property
    def failed(self) -> np.ndarray:
        return ((self.errors > TOLERANCE) | ~self.equal) & ~self.excused


def scale_of(port: Port, want: np.ndarray) -> np.ndarray:
    """What an error of the port is relative to."""
    natural = 1.0 + np.abs(np.where(np.isfinite(want), want, 0.0).astype(np.float64))
    if isinstance(port.space, Box) and port.space.dtype.kind == "f":
        low, high = port.space.low.astype(np.float64), port.space.high.astype(np.float64)
        spread = np.where(np.isfinite(low) & np.isfinite(high), high - low, 0.0)
        return np.where((spread > 0) & (spread < 1e30), spread, natural)
    return natural


def float_errors(port: Port, got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """The largest relative error of each row; infinite where only one side is NaN or infinite."""
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(got.astype(np.float64) - want.astype(np.float64)) / scale_of(port, want)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    error = np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))
    return error.reshape(len(got), -1).max(-1, initial=0.0)


def compare(ports: tuple[Port, ...], got: Arrays, want: Arrays, is_earned: Callable[[int], bool]) -> Comparison:
    """Row by row. `is_earned` says of a row that differs whether the policy gives that answer too; few are asked."""
    count = len(want[ports[0].name])
    errors, equal = np.zeros(count), np.ones(count, bool)
    for port in ports:
        a, b = got[port.name], want[port.name]
        if a.shape != b.shape or a.dtype != b.dtype:
            return Comparison(np.full(count, np.inf), np.zeros(count, bool), np.zeros(count, bool))
        if port.dtype.kind == "f":
            errors = np.maximum(errors, float_errors(port, a, b))
        else:
            equal &= (a == b).reshape(count, -1).all(-1)
    excused = np.zeros(count, bool)
    differ = np.flatnonzero((errors > TOLERANCE) | ~equal)
    for row in differ[: int(MAX_TIE_SHARE * count) + 1]:
        excused[row] = is_earned(row)
        if not excused[row]:
            break
    return Comparison(errors, equal, excused)


def decisions(graph: Graph) -> list[Node]:
    """Wherever floats become positions, conditions or integers."""
    found = []
    for node in graph.nodes():
        is_decision = node.op in COMPARE | {"ArgMax", "Round", "Floor", "Ceil", "TopK", "Quantize"}
        is_cast = node.op == "Cast" and node.out.dtype.kind != "f"
        is_sum = node.op in ("AddInt8", "SubInt8")
        if is_sum or (node.inputs[0].dtype.kind == "f" and (is_decision or is_cast)):
            found.append(node)
    return found


def near_ties(graph: Graph, inputs: Arrays) -> np.ndarray:
    """Rows in which some decision of the policy is closer than `MARGIN`."""
    found = decisions(graph)
    probes = {f"{i}.{j}": t for i, node in enumerate(found) for j, t in enumerate(node.inputs)}
    count = len(next(iter(inputs.values())))
    tied = np.zeros(count, bool)
    values = interpret(Graph(graph.inputs, list(probes.items())), inputs) if probes else {}
    with np.errstate(invalid="ignore", over="ignore"):
        for i, node in enumerate(found):
            margin = margins(node, [values[f"{i}.{j}"] for j in range(len(node.inputs))])
            if margin.ndim and len(margin) == count:  # else it is the same for all rows, or folded with another axis
                tied |= margin.reshape(count, -1).min(-1, initial=np.inf) < MARGIN
    return tied


def rounding_margins(node: Node, x: list[np.ndarray]) -> np.ndarray:
    """How far from half a step a number is that becomes a byte, where it is not clipped."""
    scale, zero = node.attrs["to"]
    steps = x[0] / np.float32(scale) if node.op == "Quantize" else total(node, *x)
    is_inside = (steps > LOW - zero - 1) & (steps < HIGH - zero + 1)
    distance = np.abs(steps + 0.5 - np.rint(steps + 0.5))
    return np.where(is_inside, distance if node.op == "Quantize" else distance / COARSE_SUM, np.inf)


def margins(node: Node, x: list[np.ndarray]) -> np.ndarray:
    """How far each decision is from the other answer, relative to 1 + the size of what is compared."""
    if node.op in ("ArgMax", "TopK"):
        row = np.moveaxis(x[0], node.attrs.get("axis", -1), -1)
        if row.shape[-1] < 2:
            return np.full(row.shape, np.inf)
        ordered = np.sort(row, -1)
        gaps = np.diff(ordered, axis=-1)
        return (gaps[..., -1:] if node.op == "ArgMax" else gaps) / (1 + np.abs(ordered[..., -1:]))
    if node.op in ROUNDED:
        return rounding_margins(node, x)
    if len(x) == 2:
        return np.abs(x[0] - x[1]) / (1 + np.maximum(np.abs(x[0]), np.abs(x[1])))
    shifted = x[0] + (0.5 if node.op == "Round" else 0.0)
    return np.abs(shifted - np.rint(shifted)) / (1 + np.abs(x[0]))
