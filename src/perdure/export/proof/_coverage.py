"""Coverage of the policy: which sides of its clips, maxima, selections and tables the rows of the proof reach.

The graph is run on the rows, and each such node tells how far each row is from each of its sides. Rows for the sides that none
reached are searched for: scaled, mixed, and driven on from the row that came nearest. What stays unreached is told by name.
A node is counted as a whole, not each of its units.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from perdure.export.program import Port, Program
from perdure.graph import Graph, Node, Shape, bind, evaluate, interpret
from perdure.space import Box

from ._observations import LARGE, limits
from ._tolerance import Arrays

CHUNK = 128  # rows at once, until every side is reached
ROUNDS = 6
TRIES = 32  # rows tried for a side in a round
MAX_SOUGHT = 16  # sides that are searched for at once
MAX_TABLE = 256  # rows of a table that count as sides


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How many sides there are, and the names of those that no row reached."""

    sides: int
    unreached: tuple[str, ...]

    @property
    def reached(self) -> int:
        return self.sides - len(self.unreached)


Side = tuple[int, str]  # the node's position in the graph, and which of its sides
Distances = dict[Side, np.ndarray]  # of each row: below zero where it reaches the side


def sides_of(node: Node, x: list[np.ndarray], y: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Each side with the distances of the node's entries from it, below zero where one is there."""
    match node.op:
        case "Clip":
            low, high = np.asarray(node.attrs["lo"], np.float64), np.asarray(node.attrs["hi"], np.float64)
            if np.isfinite(low).any():
                yield "below", x[0] - low
            if np.isfinite(high).any():
                yield "above", high - x[0]
            if (low < high).any():
                yield "within", np.maximum(low - x[0], x[0] - high)
        case "Max" | "Min":
            gap = x[0] - x[1] if node.op == "Min" else x[1] - x[0]
            yield "its first input", gap
            yield "its second input", -gap
        case "Where":
            yield "where true", 0.5 - x[0]
            yield "where false", x[0] - 0.5
        case "Relu":
            yield "zero", x[0]
            yield "above zero", -x[0]
        case "Dense" | "Conv" if node.attrs["activation"] == "Relu":
            yield "zero", y - np.finfo(np.float32).tiny
            yield "above zero", -y
        case "Gather" if is_table(node):
            for k in range(node.inputs[0].shape[node.attrs["axis"]]):
                yield f"row {k}", np.abs(x[1] - k) - 0.5


def is_table(node: Node) -> bool:
    """Whether numbers of the policy are looked up at a position that it computes."""
    table, index = node.inputs
    return table.is_constant and not index.is_constant and table.shape[node.attrs["axis"]] <= MAX_TABLE


def by_row(gap: np.ndarray, shape: Shape, batch: int) -> np.ndarray | None:
    """The least distance of each row; None where all rows share it. `shape` has the batch as a negative dimension."""
    axis = next((i for i, d in enumerate(shape) if d < 0), None)
    if axis is None:
        return None
    return np.moveaxis(np.nan_to_num(gap, nan=np.inf), axis, 0).reshape(batch, -1).min(-1, initial=np.inf)


def distances(graph: Graph, rows: Arrays) -> Distances:
    """How far each row is from each side of each node."""
    found: Distances = {}
    position = {id(node): k for k, node in enumerate(graph.nodes())}

    def value_of(node: Node, x: list[np.ndarray], batch: int) -> np.ndarray:
        y = np.asarray(evaluate(node, x, batch))
        shape = node.inputs[1].shape if node.op == "Gather" else node.out.shape
        for name, gap in sides_of(node, [np.asarray(v, np.float64) for v in x], y):
            least = by_row(np.broadcast_to(gap, bind(shape, batch)), shape, batch)
            if least is not None:
                found[position[id(node)], name] = least
        return y

    interpret(graph, rows, value_of=value_of)
    return found


@dataclasses.dataclass
class Nearest:
    """Of each side that no row has reached, the distance of the row that came nearest, and that row."""

    distance: dict[Side, float]
    row: dict[Side, Arrays]
    sides: set[Side]

    def see(self, graph: Graph, rows: Arrays) -> list[int]:
        """Take note of rows. Positions of those that reached a side first."""
        new = []
        for side, gaps in distances(graph, rows).items():
            if side in self.sides and side not in self.distance:
                continue
            self.sides.add(side)
            k = int(np.argmin(gaps))
            if gaps[k] < 0:
                self.distance.pop(side, None)
                new.append(k)
            elif gaps[k] <= self.distance.get(side, np.inf):
                self.distance[side], self.row[side] = float(gaps[k]), {name: x[k] for name, x in rows.items()}
        return sorted(set(new))


def search(program: Program, rows: Arrays, seed: int) -> tuple[Arrays, Coverage]:
    """Rows that reach sides which none of `rows` did, and what is reached with them."""
    graph, random = program.plain, np.random.default_rng(seed + 3)
    nearest, count = Nearest({}, {}, set()), len(next(iter(rows.values())))
    for start in range(0, count, CHUNK):
        nearest.see(graph, {name: x[start : start + CHUNK] for name, x in rows.items()})
        if not nearest.distance:
            break
    found = [{name: x[:0] for name, x in rows.items()}]
    for _ in range(ROUNDS if nearest.distance else 0):
        sought = list(nearest.distance)[:MAX_SOUGHT]
        if not sought:
            break
        tried = [further(program, nearest.row[side], rows, random) for side in sought]
        tries = {name: np.concatenate([rows[name] for rows in tried]) for name in rows}
        reached = nearest.see(graph, tries)
        found.append({name: x[reached] for name, x in tries.items()})
    nodes = graph.nodes()
    unreached = tuple(f"{label(nodes[k])}: {name}" for k, name in sorted(nearest.distance))
    return {name: np.concatenate([part[name] for part in found]) for name in rows}, Coverage(
        len(nearest.sides), unreached
    )


def label(node: Node) -> str:
    """The operator, and where it comes from."""
    return " ".join(
        part for part in (node.op, node.scope and f"in {node.scope}", node.where and f"at {node.where}") if part
    )


def further(program: Program, near: Arrays, rows: Arrays, random: np.random.Generator) -> Arrays:
    """Rows beside one that came near a side: other numbers in its observation, the rest as they are or as in another row."""
    count = len(next(iter(rows.values())))
    tries = {name: np.repeat(x[None], TRIES, 0) for name, x in near.items()}
    others = random.integers(0, count, (2, TRIES))
    for port in program.signature.inputs:
        x, away, to = tries[port.name], rows[port.name][others[0]], rows[port.name][others[1]]
        if isinstance(port.space, Box):
            tries[port.name] = driven(port, port.space, x, away, to, random)
        elif port.space is not None:
            tries[port.name] = np.where((random.random(TRIES) < 0.5).reshape(-1, *(1,) * (x.ndim - 1)), to, x)
    return tries


def driven(
    port: Port, space: Box, x: np.ndarray, away: np.ndarray, to: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Away from another row, in some entries only, scaled, or with entries of a third row; within the space."""
    lead = (len(x), *(1,) * (x.ndim - 1))
    near, far = x.astype(np.float64), away.astype(np.float64)
    step = 10.0 ** random.uniform(-3, 3, lead)
    some = random.random(x.shape) < random.choice((0.1, 0.5, 1.0), lead)
    ways = (
        near + step * (near - far),
        near * step,
        to.astype(np.float64),
        near + step * random.standard_normal(x.shape),
    )
    moved = np.choose(np.broadcast_to(random.integers(0, len(ways), lead), x.shape), ways)
    moved = np.where(some, moved, near)
    low, high = limits(space, max(LARGE))
    moved = np.clip(moved, low, high)
    return (moved if x.dtype.kind == "f" else np.rint(moved)).astype(port.dtype)
