"""A plain graph in each runtime but onnxruntime, in process: what the tests of primitives run."""

import runpy
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest

from perdure.export.proof import missing_package
from perdure.export.targets import TARGETS
from perdure.export.targets.c._compile import find_compiler
from perdure.export.targets.tflite._writer import write_tflite
from perdure.export.targets.weights import read_weights
from perdure.export.targets.weights._target import write as write_weights
from perdure.graph import ELEMENTWISE, Graph, at_batch_one, channels_last, in_jax, name_tensors
from tests.support.export.c_compilers import program_of, run_c
from tests.support.export.node import TFJS, run_tfjs

Arrays = dict[str, np.ndarray]


def run_numpy_script(graph: Graph, arrays: Arrays) -> list[np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        script = write_weights(program_of(graph), Path(folder), "test").run
        answer = runpy.run_path(f"{folder}/{script}")["act"](arrays)
    return [answer[name] for name, _ in graph.outputs]


def run_weights_data(graph: Graph, arrays: Arrays) -> list[np.ndarray]:
    """The same export without its script."""
    with tempfile.TemporaryDirectory() as folder:
        write_weights(program_of(graph), Path(folder), "test")
        answer = read_weights(Path(folder)).act(arrays)
    return [answer[name] for name, _ in graph.outputs]


def run_jax(graph: Graph, arrays: Arrays) -> list[np.ndarray]:
    answer = jax.jit(in_jax(graph))(arrays)
    return [np.asarray(answer[name]) for name, _ in graph.outputs]


def run_torch(graph: Graph, arrays: Arrays) -> list[np.ndarray]:
    torch = pytest.importorskip("torch", reason="PyTorch is written and run with the extra torch")
    from perdure.export.targets.torch._module import GraphModule

    graph = name_tensors(graph)
    return [y.numpy() for y in GraphModule(graph)(*[torch.from_numpy(arrays[t.name].copy()) for t in graph.inputs])]


def tflite_lacks(graph: Graph) -> bool:
    """Whether the graph has what TFLite is documented to refuse."""
    lacking = {"Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Erf", "Rem"}
    for node in graph.nodes():
        is_small = any(t.dtype in (np.dtype("int8"), np.dtype("uint8")) for t in node.inputs)
        is_arithmetic = node.op in ELEMENTWISE - {"Cast", "Where", "Eq"} or node.op in ("Reduce", "CumSum")
        if node.op in lacking or (is_small and is_arithmetic) or node.attrs.get("groups", 1) > 1:
            return True
    return False


def tfjs_lacks(graph: Graph) -> bool:
    """Whether the graph has what TF.js is documented to refuse."""
    for node in graph.nodes():
        is_sparse = max(node.attrs.get("strides", (1,))) > 1 and max(node.attrs.get("dilation", (1,))) > 1
        if is_sparse or max(t.rank for t in (*node.inputs, node.out)) > 6:
            return True
    return False


def run_tflite(graph: Graph, arrays: Arrays) -> list[np.ndarray]:
    """One observation at a time; what TFLite has no operator for is refused by name, and then there is no answer."""
    graph = name_tensors(at_batch_one(channels_last(graph)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.tflite"
        path.write_bytes(write_tflite(graph))
        answer = runpy.run_path(str(TARGETS["tflite"].runner))["open_model"](str(path), path)["prepare"](arrays)()
    return [answer[name] for name, _ in graph.outputs]


BACKENDS = {
    "torchscript": run_torch,
    "weights": run_numpy_script,
    "weights, data alone": run_weights_data,
    "stablehlo": run_jax,
    **({"c": run_c} if find_compiler() else {}),
    **({} if missing_package(TFJS) else {"tfjs": run_tfjs}),
}
