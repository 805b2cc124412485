"""The int8 form of a graph: one core of bytes, from the first layers to the last, between float operators.

Normalisation, clip and casts before the first layers, and squash, clip, rescale and argmax after the last, stay float: an
observation whose entries differ in size would lose its small ones in one scale for all, and an Edge TPU takes the core
whole. Where a layer reads floats, each feature is first brought to [-1, 1] by its own range, and the layer's weights take
that back. The weights of a convolution have a scale for each output, those of a dense layer one for all, as the Edge TPU
has it. A hand-written pass and no library: the same graph must run in LiteRT, in C and in numpy, or there is no proof.

Bytes have no NaN. Where a number that enters the core is not finite, every number that leaves it is NaN.
"""

import numpy as np

from perdure._core import ExportError
from perdure.export.guard import Alarm, combined, may_be_nan, poisoned, summed
from perdure.export.proof import Arrays
from perdure.graph import UNARY_FUNCTIONS, Graph, Node, Tensor, constant, emit, rebuilt, simplify
from perdure.graph.int8 import HIGH, LOW, Scale, to_bytes

from ._before_int8 import LAYERS, prepared
from ._ranges import FIXED, SATURATED, Range, observed_ranges, scale_of, symmetric_scale

TABLES = frozenset({"Tanh", "Sigmoid", "Relu"})
BINARY = frozenset({"Add", "Sub", "Mul"})
MOVES = frozenset({"Reshape", "Slice", "Pool"})  # their bytes are those of their input
INT8_OPERATORS = LAYERS | TABLES | BINARY | MOVES | {"Concat"}
FEATURE_SCALE: Scale = (1 / 128, 0)  # of features in [-127 / 128, 127 / 128]


def core_of(graph: Graph) -> list[Node]:
    """The layers, and what stands between a layer and another.

    Raises: ExportError if there is no layer, or for an operator in the core that has no int8 form.
    """
    nodes = graph.nodes()
    after, before = set[int](), set[int]()
    for node in nodes:
        if any(id(t) in after for t in node.inputs) or node.op in LAYERS:
            after.add(id(node.out))
    for node in reversed(nodes):
        if id(node.out) in before or node.op in LAYERS:
            before |= {id(t) for t in node.inputs}
    core = [n for n in nodes if n.op in LAYERS or (id(n.out) in after and id(n.out) in before)]
    if not core:
        raise ExportError("export to int8: the policy has no layer, so there is nothing to quantise.")
    for node in core:
        check(node)
    return core


def check(node: Node) -> None:
    is_max = node.op != "Pool" or (node.attrs["kind"] == "max" and not any(map(any, node.attrs["pads"])))
    if node.op in INT8_OPERATORS and is_max and node.out.dtype == np.float32:
        return
    what = f"Pool ({node.attrs['kind']}, or with padding)" if node.op == "Pool" else node.op
    raise ExportError(
        f"{node.where}: {what} stands between two layers, where the int8 core takes {', '.join(sorted(INT8_OPERATORS))} "
        "alone. Use relu or tanh between layers, or the target 'tflite-float16'."
    )


class Quantizer:
    """Builds the int8 graph from a float one, channels last, and the ranges of its tensors."""

    def __init__(self, graph: Graph, ranges: dict[int, Range], is_guarded: bool):
        self.graph, self.ranges, self.is_guarded = graph, ranges, is_guarded
        self.core = core_of(graph)
        self.inside = {id(node.out) for node in self.core}
        self.suspects = may_be_nan(graph)
        self.limits = self.saturated()
        self.joint: dict[int, Scale] = {}
        self.join()
        self.floats: dict[int, Tensor] = {}
        self.bytes: dict[int, tuple[Tensor, Scale]] = {}
        self.features: dict[int, Tensor] = {}
        self.alarms: list[Alarm] = []

    def saturated(self) -> dict[int, float]:
        """How far the inputs of Tanh and Sigmoid need to be told apart, where nothing else reads them."""
        readers: dict[int, set[str]] = {}
        for node in self.graph.nodes():
            for t in node.inputs:
                readers.setdefault(id(t), set()).add(node.op)
        return {
            i: SATURATED[next(iter(ops))] for i, ops in readers.items() if len(ops) == 1 and ops <= SATURATED.keys()
        }

    def join(self) -> None:
        """What a Concat puts together has one scale from the start: LiteRT is coarse where bytes change theirs."""
        for node in reversed(self.core):
            if node.op == "Concat" or (node.op in MOVES and id(node.out) in self.joint):
                scale = self.joint.setdefault(id(node.out), self.scale_of(node.out))
                for t in node.inputs:
                    self.joint.setdefault(id(t), scale)

    def run(self) -> Graph:
        for node in self.graph.nodes():
            if id(node.out) in self.inside:
                self.bytes[id(node.out)] = self.in_bytes(node)
            else:
                self.floats[id(node.out)] = rebuilt(node, [self.as_float(t) for t in node.inputs]).out
        return Graph(self.graph.inputs, [(name, self.as_float(t)) for name, t in self.graph.outputs])

    def as_float(self, t: Tensor) -> Tensor:
        if id(t) not in self.floats and id(t) in self.bytes:
            x, scale = self.bytes[id(t)]
            y = emit("Dequantize", x, scales=(scale,))
            self.floats[id(t)] = poisoned(y, self.lost(t))
        return self.floats.get(id(t), t)

    def lost(self, t: Tensor) -> Alarm | None:
        """The alarm of the whole observation, in the rank of `t`. All that enters the core has entered it before."""
        total = combined(self.alarms)
        if total is None:
            return None
        shape = (t.shape[0], *(1,) * (t.rank - 1))
        return Alarm(emit("Reshape", total.tensor, shape=shape), True)

    def enters(self, t: Tensor) -> Tensor:
        """A float that the core reads; it rings if it is not finite."""
        x = self.as_float(t)
        if self.is_guarded and id(t) in self.suspects:
            zero = emit("Mul", x, constant(np.float32(0)))
            self.alarms.append(summed(Alarm(zero, True), tuple(range(1, x.rank)), False))
        return x

    def as_bytes(self, t: Tensor) -> tuple[Tensor, Scale]:
        if id(t) not in self.bytes:
            scale = self.scale_of(t)
            self.bytes[id(t)] = emit("Quantize", self.enters(t), to=scale, scales=()), scale
        return self.bytes[id(t)]

    def scale_of(self, t: Tensor) -> Scale:
        return self.joint.get(id(t)) or scale_of(self.ranges[id(t)], self.limits.get(id(t), np.inf))

    def in_bytes(self, node: Node) -> tuple[Tensor, Scale]:
        """The node on bytes, and the scale of what it gives."""
        origin = {"where": node.where, "scope": node.scope}
        if node.op in LAYERS:
            return self.layer(node)
        given = [self.as_bytes(t) for t in node.inputs]
        tensors, scales = [x for x, _ in given], tuple(scale for _, scale in given)
        if node.op in MOVES:
            return emit(node.op, *tensors, **origin, **node.attrs), scales[0]
        to = FIXED.get(node.op) or self.scale_of(node.out)
        if node.op == "Concat":
            same = [x if s == to else emit("Quantize", x, to=to, scales=(s,)) for x, s in given]
            return emit("Concat", *same, **origin, **node.attrs), to
        if node.op in BINARY:
            return emit(f"{node.op}Int8", *tensors, to=to, scales=scales, **origin), to
        table = constant(answers(node.op, scales[0], to))
        return emit("TableInt8", tensors[0], table, kind=node.op, to=to, scales=scales, **origin), to

    def layer(self, node: Node) -> tuple[Tensor, Scale]:
        x, weight = node.inputs[0], node.inputs[1].value.astype(np.float64)
        bias = node.inputs[2].value.astype(np.float64) if len(node.inputs) > 2 else np.zeros(len(weight))
        if node.op == "Dense" and id(x) not in self.inside:
            middle, half = self.feature_range(x)
            given, scale = self.features_of(x, middle, half), FEATURE_SCALE
            weight, bias = weight * half, bias + weight @ middle
        else:
            given, scale = self.as_bytes(x)
        units = symmetric_scale(weight, None if node.op == "Dense" else (1, 2, 3))
        column = units.reshape(-1, *(1,) * (weight.ndim - 1))
        small = np.clip(np.rint(weight / column), -HIGH, HIGH).astype(np.int8)
        whole = np.clip(np.rint(bias / (np.float64(scale[0]) * units)), -(2**30), 2**30).astype(np.int32)
        name, to = node.inputs[1].name, self.scale_of(node.out)
        bias_name = node.inputs[2].name if len(node.inputs) > 2 else ""
        attrs = dict(node.attrs)
        if any(map(any, attrs.get("pads", ()))):
            given = emit("Pad", given, pads=((0, 0), *attrs["pads"], (0, 0)), value=scale[1])
            attrs["pads"] = ((0, 0), (0, 0))
        constants = constant(small, name), constant(whole, bias_name), constant(units)
        where = {"where": node.where, "scope": node.scope}
        return emit(f"{node.op}Int8", given, *constants, scales=(scale,), to=to, **where, **attrs), to

    def feature_range(self, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """The middle of each feature, and what a feature of 1 stands for; one that never moved keeps its size."""
        low, high = self.ranges[id(x)]
        half = np.where(high > low, (high - low) / 2, 1.0)
        return (low + high) / 2, half / (HIGH * FEATURE_SCALE[0])

    def features_of(self, x: Tensor, middle: np.ndarray, half: np.ndarray) -> Tensor:
        if id(x) not in self.features:
            centre, factor = (constant(v.astype(np.float32)) for v in (middle, 1 / half))
            scaled = emit("Mul", emit("Sub", self.enters(x), centre), factor)
            self.features[id(x)] = emit("Quantize", scaled, to=FEATURE_SCALE, scales=())
        return self.features[id(x)]


def answers(kind: str, scale: Scale, to: Scale) -> np.ndarray:
    """What an activation gives for each byte."""
    x = (np.arange(LOW, HIGH + 1, dtype=np.float32) - np.float32(scale[1])) * np.float32(scale[0])
    return to_bytes(UNARY_FUNCTIONS[kind](x) / np.float32(to[0]), to[1])


def core_ranges(graph: Graph, rows: Arrays) -> dict[int, Range]:
    """Of all that the core reads and computes but its weights."""
    core = core_of(graph)
    weights = {id(t) for node in core if node.op in LAYERS for t in node.inputs[1:]}
    seen = {id(t): t for node in core for t in (*node.inputs, node.out) if id(t) not in weights}
    return observed_ranges(graph, list(seen.values()), rows)


def quantized(graph: Graph, rows: Arrays) -> tuple[Graph, Graph]:
    """The graph with an int8 core, calibrated on rows by input; and the same with NaN carried past the core.

    Raises: ExportError for what the core does not take.
    """
    graph = prepared(graph)
    ranges = core_ranges(graph, rows)
    plain, guarded = (simplify(Quantizer(graph, ranges, is_guarded).run()) for is_guarded in (False, True))
    return plain, guarded
