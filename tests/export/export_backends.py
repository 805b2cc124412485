"""A plain graph in each runtime but onnxruntime, in process: what the tests of primitives run."""

import runpy
import tempfile
from pathlib import Path

import jax
import numpy as np
from export_c_support import program_of, run_c

from perdure.export._graph import Graph
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


BACKENDS = {"weights": run_numpy_script, "stablehlo": run_jax, **({"c": run_c} if find_compiler() else {})}
