"""The smallest and largest value of each tensor over calibration rows, and the scale of bytes that follows from them."""

from collections.abc import Sequence

import numpy as np

from perdure.export.proof import Arrays
from perdure.graph import Graph, Tensor, interpret
from perdure.graph.int8 import HIGH, LOW, Scale

CHUNK = 256
SMALLEST = 1e-6  # a range is not taken for narrower
SATURATED = {"Tanh": 4.0, "Sigmoid": 8.0}  # past these the answer is its limit, to less than a quarter of a step
FIXED: dict[str, Scale] = {"Tanh": (1 / 128, 0), "Sigmoid": (1 / 256, LOW)}  # as TFLite asks for
Range = tuple[np.ndarray, np.ndarray]  # low and high of each entry of the last axis


def observed_ranges(graph: Graph, tensors: Sequence[Tensor], rows: Arrays) -> dict[int, Range]:
    """By tensor."""
    probes = Graph(graph.inputs, [(str(i), t) for i, t in enumerate(tensors)])
    count = len(next(iter(rows.values())))
    found: dict[int, Range] = {}
    for start in range(0, count, CHUNK):
        values = interpret(probes, {k: x[start : start + CHUNK] for k, x in rows.items()})
        for i, t in enumerate(tensors):
            x = values[str(i)].reshape(-1, t.shape[-1] if t.rank else 1).astype(np.float64)
            low, high = found.get(id(t), (x[0], x[0]))
            found[id(t)] = np.minimum(low, x.min(0)), np.maximum(high, x.max(0))
    return found


def scale_of(found: Range, limit: float = np.inf) -> Scale:
    """The scale that reaches from the lowest to the highest value and holds 0 exactly."""
    low, high = min(float(found[0].min()), 0.0), max(float(found[1].max()), 0.0)
    low, high = max(low, -limit), min(high, limit)
    scale = float(np.float32(max(high - low, SMALLEST) / (HIGH - LOW)))
    return scale, int(np.clip(np.rint(LOW - low / scale), LOW, HIGH))


def symmetric_scale(value: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
    """Of weights, whose zero is 0: one for each entry of the axes that are left."""
    largest = np.abs(value).max(axes, initial=0.0).astype(np.float32) / np.float32(HIGH)
    return np.atleast_1d(np.where(largest > 0, largest, np.float32(1)))
