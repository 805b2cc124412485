"""What the guard against not-a-number costs: one action with and without it, in onnxruntime and in C.

    python benchmarks/nan_guard.py

prints a line for each policy and runtime: operators of the graph and microseconds an action, without and with the guard,
one thread. Time is what the thread had of the processor; the two take turns and the quickest of many rounds counts, so that
a busy machine shows least. In C it is the function alone, in onnxruntime `session.run`, whose own overhead is most of it.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from jax import random as jr

from perdure.export.program import Program, lower
from perdure.export.targets.c import build, write_c
from perdure.export.targets.c._load import Library
from perdure.export.targets.onnx import model_of, serialize
from perdure.policy import CNNActorCriticPolicy, MLPActorCriticPolicy, RecurrentActorCriticPolicy
from perdure.space import AbstractSpace, Box, Discrete

ROUNDS = 100
ROUND_SECONDS = 0.01
Call = Callable[[], Any]


class Spaces:
    """What a policy needs of an environment."""

    def __init__(self, observation_space: AbstractSpace, action_space: AbstractSpace):
        self.observation_space, self.action_space = observation_space, action_space


def policies() -> dict[str, Any]:
    vector, key = Box(-np.inf, np.inf, (8,)), jr.key(0)
    image = Box(0, 255, (84, 84, 4), np.uint8)
    force = Box(-1.0, 1.0, (2,))
    return {
        "MLP 64-64, discrete": MLPActorCriticPolicy(Spaces(vector, Discrete(4)), key=key),
        "MLP 64-64, continuous": MLPActorCriticPolicy(Spaces(vector, force), squash=True, key=key),
        "GRU 128, discrete": RecurrentActorCriticPolicy(Spaces(vector, Discrete(4)), key=key),
        "NatureCNN, discrete": CNNActorCriticPolicy(Spaces(image, Discrete(4)), key=key),
    }


def inputs_of(program: Program, count: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        port.name: (random.standard_normal((count, *port.shape)) * 2).astype(port.dtype)
        for port in program.signature.inputs
    }


def in_onnxruntime(program: Program) -> tuple[Call, int]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = serialize(model_of(program, "policy"))
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    rows = inputs_of(program, 1)
    return lambda: session.run(None, rows), 1


def in_c(program: Program) -> tuple[Call, int]:
    count = 200 if program.signature.inputs[0].dtype.kind == "f" else 5
    with tempfile.TemporaryDirectory() as folder:
        for file, text in write_c(program, "policy").items():
            (Path(folder) / file).write_text(text)
        return Library(build(Path(folder) / "policy.c")).prepare(inputs_of(program, count)), count


def seconds_of(call: Call) -> float:
    """Of one call, over a round."""
    calls, start = 0, time.thread_time()
    while (passed := time.thread_time() - start) < ROUND_SECONDS:
        call()
        calls += 1
    return passed / calls


def main() -> None:
    for name, policy in policies().items():
        programs = [lower(policy, nan_guard=False), lower(policy, nan_guard=True)]
        nodes = [len(program.graph.nodes()) for program in programs]
        for runtime, prepare in {"onnxruntime": in_onnxruntime, "C": in_c}.items():
            calls = [prepare(program) for program in programs]
            rounds = [[seconds_of(call) / count * 1e6 for call, count in calls] for _ in range(ROUNDS)]
            plain, guarded = np.min(rounds, 0)
            print(
                f"{name:24} {runtime:12} operators {nodes[0]:3} -> {nodes[1]:3}   "
                f"{plain:8.2f} -> {guarded:8.2f} us   {100 * (guarded / plain - 1):+5.1f} %"
            )


if __name__ == "__main__":
    main()
