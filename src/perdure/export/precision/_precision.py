"""Targets that keep fewer digits of the weights: the program they are written from, and how far it is from the policy.

Such a program is proven in its runtime as any other, but against its own graph. Against the policy it is measured.
"""

import dataclasses
from typing import Any

import numpy as np

from perdure._core import ExportError, loads_json
from perdure.evaluation import Act, play
from perdure.export.guard import add_nan_guard
from perdure.export.program import Program
from perdure.export.proof import Arrays, float_errors
from perdure.graph import Graph, Tensor, constant, interpret, name_tensors, rebuilt, simplify

from ._before_int8 import LAYERS
from ._calibration import Calibration
from ._quantize import quantized

FLOAT32, FLOAT16, INT8 = "float32", "float16", "int8"


@dataclasses.dataclass(frozen=True)
class Distance:
    """How far a program is from the policy. Errors are relative to the range of each output, over continuous actions."""

    observations: int
    source: str
    actions_equal: float | None  # share of observations with the same integer action; None without one
    max_error: float
    mean_error: float
    returns: tuple[float, float] | None = None  # mean of the policy, and of this program
    episodes: int = 0

    @staticmethod
    def read(saved: dict[str, Any]) -> "Distance":
        """From JSON, which has no tuples."""
        return Distance(**saved | {"returns": saved["returns"] and tuple(saved["returns"])})

    def __str__(self) -> str:
        parts = [] if self.actions_equal is None else [f"{100 * self.actions_equal:.1f} % of actions equal"]
        parts += [f"max error {self.max_error:.1e}, mean {self.mean_error:.1e}"] if self.has_error else []
        text = f"{', '.join(parts)} on {self.observations} observations ({self.source})"
        if self.returns is None:
            return text
        return f"{text}; return {self.returns[1]:.1f}, the policy's is {self.returns[0]:.1f} ({self.episodes} episodes)"

    @property
    def has_error(self) -> bool:
        return self.actions_equal is None or self.max_error > 0


def with_half_weights(graph: Graph) -> Graph:
    """The weights of layers rounded to float16; the sums stay float32.

    Raises: ExportError for a weight that float16 does not reach.
    """
    new: dict[int, Tensor] = {}
    for node in graph.nodes():
        inputs = [new.get(id(t), t) for t in node.inputs]
        if node.op in LAYERS:
            weight = node.inputs[1]
            with np.errstate(over="ignore", under="ignore"):
                half = weight.value.astype(np.float16).astype(np.float32)
            if not np.isfinite(half).all():
                largest = np.abs(weight.value).max()
                raise ExportError(f"export to float16: '{weight.name}' has {largest:.3g}, float16 ends at 65504.")
            inputs[1] = constant(half, weight.name)
        new[id(node.out)] = rebuilt(node, inputs).out
    return Graph(graph.inputs, [(name, new.get(id(t), t)) for name, t in graph.outputs])


def in_precision(program: Program, precision: str, calibration: Calibration | None) -> Program:
    """The program that targets of a precision are written from."""
    if precision == FLOAT32:
        return program
    if precision == FLOAT16:
        plain, graph = (with_half_weights(g) for g in (program.plain, program.graph))
    else:
        assert calibration is not None
        sign, is_guarded = program.signature, bool(loads_json(program.metadata["nan_guard"])["on"])
        plain, carrying = quantized(program.plain, calibration.fitted)
        actions = [port.name for port in sign.actions]
        graph = simplify(add_nan_guard(carrying, actions, sign.sentinels)) if is_guarded else plain
    return dataclasses.replace(program, plain=plain, graph=name_tensors(graph), precision=precision)


def distances_of(
    programs: dict[str, Program], policy: Act, samples: Arrays, calibration: Calibration | None, seed: int
) -> dict[str, Distance]:
    """Of each program of fewer digits from the policy: on held-out rows of the calibration, or on samples of the space."""
    rows = samples if calibration is None else calibration.held_out
    return {p: distance(made, policy, rows, calibration, seed) for p, made in programs.items() if p != FLOAT32}


def distance(program: Program, policy: Act, rows: Arrays, calibration: Calibration | None, seed: int) -> Distance:
    got, want = interpret(program.graph, rows), policy(rows)
    actions = program.signature.actions
    count, errors = len(next(iter(rows.values()))), [np.zeros(1)]
    equal = np.ones(count, bool)
    for port in actions:
        a, b = got[port.name], want[port.name]
        if port.dtype.kind == "f":
            errors.append(float_errors(port, a, b))
        else:
            equal &= (a == b).reshape(count, -1).all(-1)
    has_choices = any(port.dtype.kind != "f" for port in actions)
    error = np.max(np.broadcast_arrays(*errors), axis=0)
    returns, episodes = None, 0
    if calibration is not None and calibration.env is not None and calibration.returns is not None:
        episodes = len(calibration.returns)
        _, after = play(program.signature, lambda x: interpret(program.graph, x), calibration.env, episodes, seed)
        returns = float(calibration.returns.mean()), float(after.mean())
    return Distance(
        observations=count,
        source=calibration.source if calibration is not None else "samples of the observation space",
        actions_equal=float(equal.mean()) if has_choices else None,
        max_error=float(error.max()),
        mean_error=float(error.mean()),
        returns=returns,
        episodes=episodes,
    )
