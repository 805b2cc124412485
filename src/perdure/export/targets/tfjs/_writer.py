"""Graph to a TF.js graph model, with a batch axis, channels last. `_rules` and `_layers` say how each operator is written.

The format is that of TensorFlow's GraphDef as JSON. TF.js knows float32, int32 and bool; smaller integers go as int32.
Source: https://github.com/tensorflow/tfjs/tree/master/tfjs-converter
"""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from perdure._core import ExportError
from perdure.graph import Graph, Shape, Tensor

from . import _layers as _layers
from ._rules import WRITERS

TYPES = {"float32": "DT_FLOAT", "int32": "DT_INT32", "uint8": "DT_INT32", "int8": "DT_INT32", "bool": "DT_BOOL"}
STORED = {"DT_FLOAT": "float32", "DT_INT32": "int32", "DT_BOOL": "bool"}
MAX_RANK = 6
WEIGHTS = "weights.bin"


def type_of(dtype: DTypeLike) -> str:
    return TYPES[str(np.dtype(dtype))]


def dims_of(shape: Shape) -> dict[str, Any]:
    return {"dim": [{"size": str(max(d, -1))} for d in shape]}


def attribute(value: np.dtype | bool | str | int | Sequence[int]) -> dict[str, Any]:
    """A value of an attribute as GraphDef has it: a type (a numpy dtype), a flag, a text, a number or numbers."""
    if isinstance(value, np.dtype):
        return {"type": type_of(value)}
    if isinstance(value, bool):
        return {"b": value}
    if isinstance(value, str):
        return {"s": base64.b64encode(value.encode()).decode()}
    if isinstance(value, int):
        return {"i": str(value)}
    return {"list": {"i": [str(int(v)) for v in value]}}


class Writer:
    """Collects nodes and weights. Values are known by the name of the node that gives them."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.nodes: list[dict[str, Any]] = []
        self.weights: list[tuple[str, np.ndarray]] = []
        self.constants: dict[Any, str] = {}
        self.taken = {t.name for node in graph.nodes() for t in (*node.inputs, node.out)}
        self.taken |= {t.name for t in graph.inputs} | {name for name, _ in graph.outputs}
        self.current = ""

    def fresh(self, base: str) -> str:
        name, count = base, 1
        while name in self.taken:
            count += 1
            name = f"{base}_{count}"
        self.taken.add(name)
        return name

    def op(self, kind: str, *inputs: str, out: str | None = None, **attrs: Any) -> str:
        out = out or self.fresh(f"{self.current}_{kind.lower()}")
        made = {key: attribute(value) for key, value in attrs.items() if value is not None}
        self.nodes.append({"name": out, "op": kind, "input": list(inputs), "attr": made})
        return out

    def array(self, value: ArrayLike, dtype: DTypeLike = np.float32, name: str = "") -> str:
        """A constant; equal ones are one."""
        kind = type_of(dtype)
        stored = np.asarray(value, STORED[kind], order="C")
        key = (kind, stored.shape, stored.tobytes())
        if key not in self.constants:
            is_taken = not name or name in self.constants.values()  # such as a weight that is also used transposed
            self.constants[key] = self.fresh(name or "constant") if is_taken else name
            self.weights.append((self.constants[key], stored))
            tensor = {"dtype": kind, "tensorShape": dims_of(stored.shape)}
            made = {"dtype": {"type": kind}, "value": {"tensor": tensor}}
            self.nodes.append({"name": self.constants[key], "op": "Const", "input": [], "attr": made})
        return self.constants[key]

    def integers(self, value: ArrayLike) -> str:
        return self.array(value, np.int32)

    def ref(self, t: Tensor) -> str:
        return self.array(t.value, t.dtype, t.name) if t.is_constant else t.name

    def batch(self) -> str:
        """The number of observations, as a vector of one entry."""
        sized = next(t for t in self.graph.inputs if -1 in t.shape)
        axis = sized.shape.index(-1)
        shape = self.op("Shape", sized.name, T=sized.dtype)
        return self.op("StridedSlice", shape, *map(self.integers, ([axis], [axis + 1], [1])))

    def shape(self, shape: Shape) -> str:
        """A shape to broadcast to, as a vector."""
        if all(d >= 0 for d in shape):
            return self.integers(shape)
        batch = self.batch()
        parts = [
            self.integers([d]) if d >= 0 else self.op("Mul", batch, self.integers([-d]), T=np.dtype(np.int32))
            for d in shape
        ]
        return self.op("ConcatV2", *parts, self.integers(0), N=len(parts)) if len(parts) > 1 else parts[0]

    def write(self) -> tuple[dict[str, Any], bytes]:
        for t in self.graph.inputs:
            made = {"dtype": {"type": type_of(t.dtype)}, "shape": {"shape": dims_of(t.shape)}}
            self.nodes.append({"name": t.name, "op": "Placeholder", "input": [], "attr": made})
        for node in self.graph.nodes():
            self.current = node.out.name
            WRITERS.write(self, node)
        for name, t in self.graph.outputs:
            if t.name != name or t.is_constant:  # an input, a constant, or one value under two names
                self.op("Identity", self.ref(t), out=name, T=t.dtype)
        topology = {"node": self.nodes, "library": {}, "versions": {"producer": 1}}
        listed = [{"name": n, "shape": list(x.shape), "dtype": str(x.dtype)} for n, x in self.weights]
        model = {
            "format": "graph-model",
            "convertedBy": None,
            "signature": {
                "inputs": {t.name: self.port(t.name, t) for t in self.graph.inputs},
                "outputs": {name: self.port(name, t) for name, t in self.graph.outputs},
            },
            "modelTopology": topology,
            "weightsManifest": [{"paths": [WEIGHTS], "weights": listed}],
        }
        return model, b"".join(x.astype(x.dtype.newbyteorder("<")).tobytes() for _, x in self.weights)

    def port(self, name: str, t: Tensor) -> dict[str, Any]:
        return {"name": f"{name}:0", "dtype": type_of(t.dtype), "tensorShape": dims_of(t.shape)}


def write_graph_model(graph: Graph) -> tuple[dict[str, Any], bytes]:
    """`model.json` as a dictionary and the bytes of its weights, from a graph that is channels last and named.

    Raises: ExportError for what TF.js has no counterpart of.
    """
    for node in graph.nodes():
        tensors = (*node.inputs, node.out)
        if any(0 in t.shape for t in tensors):
            raise ExportError(f"{node.where}: {node.op} has no entries, which TF.js does not take. Leave it out.")
        if any(t.rank > MAX_RANK for t in tensors):
            raise ExportError(f"{node.where}: {node.op} has over {MAX_RANK} axes with the batch. Reshape to fewer.")
    return Writer(graph).write()
