"""How long one action takes, batch 1, one thread: C, from Python through the loader, numpy, onnxruntime, jitted JAX.

    python benchmarks/latency.py

All are exports of the same policy with the guard against broken observations. They take turns, and the quickest of many
rounds counts. "C" is the function alone, over rows that differ; every other figure is a call from Python.
"""

import functools
import os
import runpy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import rich.box
from jax import random as jr
from rich.console import Console
from rich.table import Table

from perdure.export.program import Program, lower
from perdure.export.targets.c import build, load, write_c
from perdure.export.targets.c._load import Library
from perdure.export.targets.onnx import model_of, serialize
from perdure.export.targets.weights import WEIGHTS
from perdure.policy import CNNActorCriticPolicy, MLPActorCriticPolicy, MLPDeterministicPolicy
from perdure.space import AbstractSpace, Box, Discrete

ROUNDS = 60
ROUND_SECONDS = 0.02
Call = Callable[[], Any]


class Spaces:
    """What a policy needs of an environment."""

    def __init__(self, observation_space: AbstractSpace, action_space: AbstractSpace):
        self.observation_space, self.action_space = observation_space, action_space


def policies() -> dict[str, Any]:
    pole = Spaces(Box(-np.inf, np.inf, (4,)), Discrete(2))
    pendulum = Spaces(Box(-np.inf, np.inf, (3,)), Box(-2.0, 2.0, (1,)))
    pixels = Spaces(Box(0, 255, (84, 84, 4), np.uint8), Discrete(6))
    wide = {"hidden_sizes": (256, 256), "activation": jax.nn.relu}
    return {
        "4-64-64-2 tanh": MLPActorCriticPolicy(pole, hidden_sizes=(64, 64), activation=jnp.tanh, key=jr.key(0)),
        "3-256-256-1 relu": MLPDeterministicPolicy(pendulum, **wide, key=jr.key(0)),
        "NatureCNN, 84x84x4": CNNActorCriticPolicy(pixels, key=jr.key(0)),
    }


def rows_of(program: Program, count: int) -> np.ndarray:
    (port,) = program.signature.inputs
    numbers = np.random.default_rng(0).standard_normal((count, *port.shape))
    return (numbers * 64 + 128).astype(port.dtype) if port.dtype.kind == "u" else numbers.astype(port.dtype)


def seconds_of(call: Call) -> float:
    """Of one call, over a round."""
    calls, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < ROUND_SECONDS:
        call()
        calls += 1
    return passed / calls


def contenders(policy: Any, folder: Path) -> dict[str, tuple[Call, int]]:
    """A call by name, and how many actions it gives."""
    program = lower(policy)
    for file, text in write_c(program, "policy").items():
        (folder / file).write_text(text)
    library = build(folder / "policy.c")
    count = 10 if program.signature.inputs[0].dtype.kind == "u" else 1000
    many, one = rows_of(program, count), rows_of(program, 1)
    loaded = load(library)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        serialize(model_of(program, "policy")), options, providers=["CPUExecutionProvider"]
    )
    by_hand = runpy.run_path(str(folder / WEIGHTS.write(program, folder, "policy").run))["act"]
    jitted = jax.jit(lambda observation: policy(None, observation)[1])
    row = one[0]
    return {
        "C": (Library(library).prepare({"observation": many}), count),
        "C from Python": (functools.partial(loaded, row), 1),
        "numpy": (lambda: by_hand({"observation": one}), 1),
        "onnxruntime": (lambda: session.run(None, {"observation": one}), 1),
        "jitted JAX": (lambda: jitted(row).block_until_ready(), 1),
    }


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    table = Table("microseconds an action", box=rich.box.MARKDOWN)
    for name in ("C", "C from Python", "numpy", "onnxruntime", "jitted JAX", "onnxruntime / C"):
        table.add_column(name, justify="right")
    for name, policy in policies().items():
        with tempfile.TemporaryDirectory() as folder:
            calls = contenders(policy, Path(folder))
            rounds = [[seconds_of(call) / count for call, count in calls.values()] for _ in range(ROUNDS)]
        best = dict(zip(calls, np.min(rounds, 0) * 1e6, strict=True))
        table.add_row(name, *(f"{x:.2f}" for x in best.values()), f"{best['onnxruntime'] / best['C']:.1f}x")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
