"""A plain graph in each runtime but onnxruntime, in process: what the tests of primitives run."""

import runpy
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest
from export_c_support import program_of, run_c

from perdure.export._graph import Graph
from perdure.export._passes import name_tensors
from perdure.export.c._compile import find_compiler
from perdure.export.stablehlo._evaluate import in_jax
from perdure.export.weights._target import write as write_weights

Arrays = dict[str, np.ndarray]


def run_numpy_script(graph: Graph, arrays: Arrays) -> list[np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        script = write_weights(program_of(graph), Path(folder), "test")[0]
        answer = runpy.run_path(f"{folder}/{script}")["act"](arrays)
    return [answer[name] for name, _ in graph.outputs]


def run_jax(graph: Graph, arrays: Arrays) -> list[np.ndarray]:
    answer = jax.jit(in_jax(graph))(arrays)
    return [np.asarray(answer[name]) for name, _ in graph.outputs]


def run_torch(graph: Graph, arrays: Arrays) -> list[np.ndarray]:
    torch = pytest.importorskip("torch", reason="PyTorch is written and run with the extra torch")
    from perdure.export.torch._module import GraphModule

    name_tensors(graph)
    return [y.numpy() for y in GraphModule(graph)(*[torch.from_numpy(arrays[t.name].copy()) for t in graph.inputs])]


BACKENDS = {
    "torchscript": run_torch,
    "weights": run_numpy_script,
    "stablehlo": run_jax,
    **({"c": run_c} if find_compiler() else {}),
}
