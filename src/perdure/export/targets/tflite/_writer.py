"""Graph to a `.tflite` flatbuffer, for one observation, channels last. `_rules` says how each operator is written."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from perdure._core import ExportError, import_extra
from perdure.graph import Graph, Shape, Tensor

from . import _int8_rules as _int8_rules
from ._rules import WRITERS

TYPES = {"float32": "FLOAT32", "float16": "FLOAT16", "int32": "INT32", "uint8": "UINT8", "int8": "INT8", "bool": "BOOL"}
OPTIONS = {
    "MAXIMUM": "MaximumMinimum", "MINIMUM": "MaximumMinimum", "SUM": "Reducer", "REDUCE_MAX": "Reducer",
    "REDUCE_MIN": "Reducer", "REDUCE_PROD": "Reducer", "CONV_2D": "Conv2D",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2D", "MAX_POOL_2D": "Pool2D",
    "AVERAGE_POOL_2D": "Pool2D", "TOPK_V2": "TopKV2", "CUMSUM": "Cumsum", "PADV2": "PadV2",
    "SELECT_V2": "SelectV2", "BATCH_MATMUL": "BatchMatMul",
}  # fmt: skip
SCHEMA_VERSION = 3
BROADCAST_VERSION = 2  # the first one of BROADCAST_TO that is a builtin


class Writer:
    """Collects tensors, buffers and operators. Tensors are known by their number in the file."""

    def __init__(self, graph: Graph, has_half_weights: bool = False):
        self.has_half_weights = has_half_weights
        self.schema = schema = import_extra("ai_edge_litert.schema_py_generated", "tflite")
        self.graph, self.codes, self.index = graph, dict[int, int](), dict[int, int]()
        self.model, self.part = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.description = SCHEMA_VERSION, b"perdure"
        self.model.operatorCodes, self.model.buffers, self.model.subgraphs = [], [schema.BufferT()], [self.part]
        self.part.tensors, self.part.inputs, self.part.outputs, self.part.operators = [], [], [], []
        self.part.name = b"main"

    def type(self, dtype: DTypeLike) -> int:
        return getattr(self.schema.TensorType, TYPES[str(np.dtype(dtype))])

    def tensor(self, shape: Shape, dtype: DTypeLike, name: str = "", value: ArrayLike | None = None) -> int:
        made = self.schema.TensorT()
        made.name, made.shape = (name or f"value_{len(self.part.tensors)}").encode(), [int(d) for d in shape]
        made.type, made.hasRank, made.buffer = self.type(dtype), True, 0
        if value is not None:
            buffer = self.schema.BufferT()
            little_endian = np.asarray(value, np.dtype(dtype).newbyteorder("<"), order="C")
            buffer.data = np.frombuffer(little_endian.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            made.buffer = len(self.model.buffers) - 1
        self.part.tensors.append(made)
        return len(self.part.tensors) - 1

    def array(self, value: ArrayLike, dtype: DTypeLike) -> int:
        array = np.asarray(value, dtype)
        return self.tensor(array.shape, dtype, value=array)

    def integers(self, value: ArrayLike) -> int:
        return self.array(value, np.int32)

    def ref(self, t: Tensor) -> int:
        if id(t) not in self.index:
            self.index[id(t)] = self.tensor(t.shape, t.dtype, t.name, t.value)
        return self.index[id(t)]

    def weight(self, t: Tensor, value: np.ndarray) -> int:
        """The weight of a layer, in TFLite's order; stored in half as many bytes, it is made float32 before all else."""
        if id(t) not in self.index:
            half = self.has_half_weights
            made = self.tensor(value.shape, np.float16 if half else np.float32, t.name, value)
            self.index[id(t)] = self.op("DEQUANTIZE", [made], value.shape) if half else made
        return self.index[id(t)]

    def set_scale(self, index: int, scale: ArrayLike, zero: ArrayLike) -> None:
        """What the bytes of a tensor stand for; lists have one entry for each index of the first axis."""
        made = self.schema.QuantizationParametersT()
        made.scale, made.zeroPoint = (np.ravel(v).tolist() for v in (scale, zero))
        made.quantizedDimension = 0
        self.part.tensors[index].quantization = made

    def has_scale(self, t: Tensor) -> bool:
        return self.part.tensors[self.ref(t)].quantization is not None

    def share_scale(self, t: Tensor) -> None:
        """The bytes of an operator that only moves them stand for what they stood for before."""
        source = t.node.inputs[0] if t.node is not None else t
        if t.dtype == source.dtype == np.int8:
            mine, before = (self.part.tensors[self.ref(v)] for v in (t, source))
            mine.quantization = mine.quantization or before.quantization

    def code(self, kind: str) -> int:
        code = getattr(self.schema.BuiltinOperator, kind)
        if code not in self.codes:
            made = self.schema.OperatorCodeT()
            made.builtinCode, made.deprecatedBuiltinCode = code, min(code, 127)
            made.version = BROADCAST_VERSION if kind == "BROADCAST_TO" else 1
            self.codes[code] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(made)
        return self.codes[code]

    def op(
        self,
        kind: str,
        inputs: list[int],
        shape: Shape,
        dtype: DTypeLike = np.float32,
        out: int | None = None,
        outs: list[int] | None = None,
        **options: Any,
    ) -> int:
        """One operator; the first of its outputs, a new tensor of this shape unless `out` or `outs` are given."""
        made = self.schema.OperatorT()
        made.opcodeIndex, made.inputs = self.code(kind), inputs
        made.outputs = outs or [self.tensor(shape, dtype) if out is None else out]
        name = OPTIONS.get(kind) or "".join(word.capitalize() for word in kind.split("_"))
        if hasattr(self.schema, f"{name}OptionsT"):
            made.builtinOptions = getattr(self.schema, f"{name}OptionsT")()
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, f"{name}Options")
            for key, value in options.items():
                setattr(made.builtinOptions, key, value)
        self.part.operators.append(made)
        return made.outputs[0]

    def copy(self, t: Tensor) -> int:
        return self.op("RESHAPE", [self.ref(t), self.integers(t.shape)], t.shape, t.dtype, newShape=list(t.shape))

    def write(self) -> bytes:
        inputs = [(t.name, self.ref(t)) for t in self.graph.inputs]
        for node in self.graph.nodes():
            WRITERS.write(self, node)
            self.share_scale(node.out)
        outputs: list[tuple[str, int]] = []
        for name, t in self.graph.outputs:
            is_plain = t.node is not None and self.ref(t) not in [i for _, i in outputs]
            outputs.append((name, self.ref(t) if is_plain else self.copy(t)))
        self.part.inputs, self.part.outputs = [i for _, i in inputs], [i for _, i in outputs]
        signature = self.schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
        signature.inputs, signature.outputs = ([self.entry(*pair) for pair in pairs] for pairs in (inputs, outputs))
        self.model.signatureDefs = [signature]
        builder = import_extra("flatbuffers", "tflite").Builder(1 << 16)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def entry(self, name: str, index: int) -> Any:
        made = self.schema.TensorMapT()
        made.name, made.tensorIndex = name.encode(), index
        return made


def write_tflite(graph: Graph, has_half_weights: bool = False) -> bytes:
    """The file of a graph at batch one, channels last, simplified and named.

    `has_half_weights` stores the weights of layers as float16; then they must be such numbers.

    Raises: ExportError for what TFLite has no counterpart of.
    """
    for node in graph.nodes():
        if any(0 in t.shape for t in (*node.inputs, node.out)):
            raise ExportError(f"{node.where}: {node.op} has no entries, and TFLite has no empty tensors. Leave it out.")
    return Writer(graph, has_half_weights).write()
