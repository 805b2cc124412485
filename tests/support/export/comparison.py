"""What the tests of the export share: graphs of plain functions, onnxruntime in process, comparison with JAX."""

import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from perdure.export.guard import add_nan_guard
from perdure.export.trace import trace
from perdure.graph import Graph, at_batch_one, channels_last, interpret, name_tensors, simplify, without_batch

F = np.float32
FULL = os.environ.get("PERDURE_FUZZ") == "full"  # all cases, however long they take
Specs = dict[str, tuple[tuple[int, ...], Any]]
BATCHES = (7, 1)  # 7 is no other dimension of the cases, so that a batch axis taken for another one shows


def sample(inputs: Specs, count: int, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    draw = {
        "f": lambda shape: (random.standard_normal(shape) * 2).astype(F),
        "u": lambda shape: random.integers(0, 256, shape).astype(np.uint8),
        "i": lambda shape: random.integers(0, 3, shape).astype(np.int32),
        "b": lambda shape: random.random(shape) < 0.7,
    }
    return [draw[np.dtype(dtype).kind]((count, *shape)).astype(dtype) for shape, dtype in inputs.values()]


def as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def graph_of(function: Callable[..., Any], inputs: Specs, names_from: Any = None) -> Graph:
    shapes = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in inputs.values()]
    count = len(as_tuple(jax.eval_shape(function, *shapes)))
    outputs = [f"y{i}" for i in range(count)]
    return trace(lambda *x: as_tuple(function(*x)), inputs, outputs, names_from)


def run_onnx(graph: Graph, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    pytest.importorskip("onnx", reason="ONNX is written with the extra onnx")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX is run with the extra onnx")
    from perdure.export.targets.onnx import write_onnx

    model = write_onnx(name_tensors(graph), "test", 17, {})
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = {i.name for i in session.get_inputs()}
    return session.run(None, {k: v for k, v in arrays.items() if k in wanted})


def worst_error(got: Any, want: Any) -> float:
    """The largest difference relative to 1 + |want|; infinite for another shape, dtype, integer or NaN."""
    worst = 0.0
    for a, b in zip(got, want, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape or a.dtype != b.dtype:
            return np.inf
        if a.dtype.kind != "f":
            worst = max(worst, 0.0 if np.array_equal(a, b) else np.inf)
            continue
        if (np.isnan(a) != np.isnan(b)).any():
            return np.inf
        with np.errstate(invalid="ignore"):
            error = np.where((a == b) | np.isnan(b), 0, np.abs(a.astype(np.float64) - b) / (1 + np.abs(b)))
        worst = max(worst, float(error.max(initial=0)))
    return worst


def answers(function: Callable[..., Any], arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [np.asarray(y) for y in as_tuple(jax.jit(jax.vmap(function))(*arrays))]


def check(
    function: Callable[..., Any], inputs: Specs, tolerance: float = 1e-5, seed: int = 0, guarded: bool = True
) -> Graph:
    """Every form of the graph, in numpy and in onnxruntime, against jitted JAX. Returns the simplified graph."""
    raw = graph_of(function, inputs)
    plain = simplify(raw)
    forms = {"raw": raw, "plain": plain, "channels last": channels_last(plain)}
    if guarded:
        forms["guarded"] = simplify(add_nan_guard(plain, [name for name, _ in plain.outputs]))
    for batch in BATCHES:
        arrays = sample(inputs, batch, seed)
        named = dict(zip(inputs, arrays, strict=True))
        want = answers(function, arrays)
        for name, graph in forms.items():
            error = worst_error(interpret(graph, named, batch).values(), want)
            assert error <= tolerance, (name, batch, error)
        for name in ("plain", "guarded")[: 1 + guarded]:
            error = worst_error(run_onnx(forms[name], named), want)
            assert error <= tolerance, ("onnx", name, batch, error)
    one = [y[0] for y in want]
    assert worst_error(interpret(at_batch_one(forms["channels last"]), named).values(), want) <= tolerance
    single = {k: np.asarray(x[0]) for k, x in named.items()}
    assert worst_error(interpret(without_batch(plain), single).values(), one) <= tolerance
    return plain
