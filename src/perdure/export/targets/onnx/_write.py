"""Graph to ONNX: opset 17, IR version 8, no external data, one symbolic axis `batch`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from perdure._core import ExportError, import_extra
from perdure.graph import Graph, Node, Shape, Tensor

from ._rules import WRITERS

IR_VERSION = 8  # what opset 17 came with; onnxruntime refuses the newest one


class Writer:
    """Collects ONNX nodes and initialisers. The rules of `_rules` call its methods."""

    def __init__(self, graph: Graph):
        onnx = import_extra("onnx", "onnx")
        self.helper, self.numpy_helper = onnx.helper, onnx.numpy_helper
        self.graph, self.nodes, self.initializers, self.pairs = (
            graph,
            list[Any](),
            dict[str, Any](),
            dict[Any, tuple[str, str]](),
        )
        self.uses, self.current = graph.uses(), ""
        self.taken = {t.name for node in graph.nodes() for t in (*node.inputs, node.out)}
        self.taken |= {t.name for t in graph.inputs} | {name for name, _ in graph.outputs}

    def fresh(self, base: str) -> str:
        name, count = base, 1
        while name in self.taken:
            count += 1
            name = f"{base}_{count}"
        self.taken.add(name)
        return name

    def dtype(self, dtype: DTypeLike) -> int:
        return self.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def array(self, value: ArrayLike, name: str | None = None) -> str:
        """An initialiser. Equal nameless ones are shared."""
        value = np.asarray(value, order="C")  # ascontiguousarray would make a number a vector
        if name is None:
            name = f"c_{value.dtype}_" + "_".join(map(str, (*value.shape, "is", *value.ravel().tolist())))
            name = "".join(c if c.isalnum() or c in "._-" else "_" for c in name)
            if len(name) > 60:
                name = self.fresh(f"c_{value.dtype}")
        if name not in self.initializers:
            little_endian = value.astype(value.dtype.newbyteorder("<"))
            self.initializers[name] = self.numpy_helper.from_array(little_endian, name)
        return name

    def integers(self, values: ArrayLike) -> str:
        return self.array(np.asarray(values, np.int64))

    def ref(self, t: Tensor) -> str:
        return self.array(t.value, t.name) if t.is_constant else t.name

    def op(self, kind: str, *inputs: str, out: str | None = None, **attrs: Any) -> str:
        out = out or self.fresh(f"{self.current}_{kind.lower()}".lstrip("_"))
        attrs = {k: [int(i) for i in v] if isinstance(v, tuple | list) else v for k, v in attrs.items()}
        self.nodes.append(self.helper.make_node(kind, list(inputs), [out], name=out, **attrs))
        return out

    def pair(self, key: Any, kind: str, *inputs: str, **attrs: Any) -> tuple[str, str]:
        """A node of two outputs, made once for each key."""
        if key not in self.pairs:
            outs = (self.fresh(f"{kind.lower()}_values"), self.fresh(f"{kind.lower()}_positions"))
            self.nodes.append(self.helper.make_node(kind, list(inputs), list(outs), name=outs[0], **attrs))
            self.pairs[key] = outs
        return self.pairs[key]

    def cast(self, x: str, dtype: DTypeLike, out: str | None = None) -> str:
        return self.op("Cast", x, out=out, to=self.dtype(dtype))

    def expand(self, x: str, source: Shape, shape: Shape, out: str | None = None) -> str:
        """Broadcast to a shape. Where the source has the batch axis, its place in the shape may say one."""
        if any(d < 0 for d in source) or all(d >= 0 for d in shape):
            return self.op("Expand", x, self.integers([max(d, 1) for d in shape]), out=out)
        sized = next(t for t in self.graph.inputs if -1 in t.shape)
        axis = sized.shape.index(-1)
        batch = self.op("Shape", sized.name, start=axis, end=axis + 1)
        parts = [
            self.integers([d]) if d >= 0 else batch if d == -1 else self.op("Mul", batch, self.integers([-d]))
            for d in shape
        ]
        return self.op("Expand", x, self.op("Concat", *parts, axis=0) if len(parts) > 1 else parts[0], out=out)

    def write_nodes(self) -> None:
        nodes = self.graph.nodes()
        absorbed = {id(n.inputs[0].node) for n in nodes if self.is_absolute_sum(n)}
        for node in nodes:
            if id(node) in absorbed:
                continue
            self.current = node.out.name
            WRITERS.write(self, node)
        self.current = ""
        for name, t in self.graph.outputs:
            if t.name != name or t.is_constant:  # an input, a constant, or one value under two names
                source = self.ref(t)
                self.op("Identity", source, out=name)

    def is_absolute_sum(self, node: Node) -> bool:
        """`sum |x|` is the one operator ReduceL1."""
        inner = node.inputs[0].node
        is_sum = node.op == "Reduce" and node.attrs["kind"] == "sum"
        return is_sum and inner is not None and inner.op == "Abs" and self.uses[id(inner.out)] == 1


def write_onnx(graph: Graph, name: str, opset: int, metadata: Mapping[str, str], documentation: str = "") -> Any:
    """The checked ModelProto of a named and simplified graph.

    Raises: ExportError for an opset that is not supported.
    """
    if not 17 <= opset <= 17:
        raise ExportError(f"opset={opset} is not supported. Use opset=17, which every current runtime reads.")
    onnx = import_extra("onnx", "onnx")
    writer = Writer(graph)
    writer.write_nodes()
    helper = onnx.helper

    def value_info(name: str, t: Tensor) -> Any:
        dims: Sequence[Any] = [d if d >= 0 else "batch" if d == -1 else f"batch_x_{-d}" for d in t.shape]
        return helper.make_tensor_value_info(name, writer.dtype(t.dtype), dims)

    made = helper.make_graph(
        writer.nodes,
        name,
        [value_info(t.name, t) for t in graph.inputs],
        [value_info(output, t) for output, t in graph.outputs],
        list(writer.initializers.values()),
    )
    from perdure import __version__

    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=IR_VERSION,
        producer_name="perdure",
        producer_version=__version__,
        doc_string=documentation,
    )
    for key in sorted(metadata):
        model.metadata_props.add(key=key, value=metadata[key])
    onnx.checker.check_model(model, full_check=True)
    return model
