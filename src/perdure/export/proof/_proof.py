"""The proof that an exported file is the policy: the same inputs through JAX and through the target's own runtime."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from perdure._core import ExportError
from perdure.export.program import ExportOptions, Program, next_name
from perdure.graph import interpret
from perdure.policy import AbstractPolicy

from ._observations import broken_inputs, make_inputs
from ._run import Answer, Job, take_slices
from ._tolerance import MAX_TIE_SHARE, Arrays, Comparison, compare, near_ties, nudged

CHUNK = 256  # rows the reference computes at once: one compilation whatever their number
BATCHES = ((64, None), (7, 70), (1, 100))  # batch size, and how many rows go that way (None: all)
SEQUENCE_STEPS = 100
SEQUENCE_BATCH = 7
RESET_PROBABILITY = 0.03


class Reference:
    """The jitted policy itself, vmapped; for a program of fewer digits its graph, on numpy arrays."""

    def __init__(self, program: Program):
        self.sign = sign = program.signature
        self.function: Callable[..., Iterable[Any]] = jax.jit(jax.vmap(sign.function))
        if program.precision != "float32":
            names = [port.name for port in sign.inputs]
            self.function = lambda *x: interpret(program.plain, dict(zip(names, x, strict=True))).values()

    def __call__(self, inputs: Arrays) -> Arrays:
        count = len(next(iter(inputs.values())))
        parts = []
        for start in range(0, count, CHUNK):
            rows = [x[start : start + CHUNK] for x in inputs.values()]
            full = [np.concatenate([x, np.repeat(x[:1], CHUNK - len(x), 0)]) for x in rows]
            results = self.function(*full)
            parts.append([np.asarray(y)[: len(rows[0])] for y in results])
        columns = zip(*parts, strict=True)
        return {port.name: np.concatenate(column) for port, column in zip(self.sign.outputs, columns, strict=True)}

    def sequence(self, inputs: Arrays, initial: Arrays, reset: np.ndarray) -> Arrays:
        """Step by step, the memory fed back and put back to the start where `reset` says so."""
        state, steps = dict(initial), []
        batch = len(reset[0])
        for t in range(len(reset)):
            for name, first in initial.items():
                state[name] = np.where(reset[t].reshape((-1,) + (1,) * (first.ndim - 1)), first, state[name])
            rows = {p.name: (state[p.name] if p.name in state else inputs[p.name][t]) for p in self.sign.inputs}
            padded = [np.concatenate([x, np.repeat(x[:1], CHUNK - batch, 0)]) for x in rows.values()]
            results = [np.asarray(y)[:batch] for y in self.function(*padded)]
            steps.append(dict(zip([p.name for p in self.sign.outputs], results, strict=True)))
            state = {name: steps[-1][next_name(name)] for name in initial}
        return {name: np.stack([step[name] for step in steps]) for name in steps[0]}


@dataclasses.dataclass(frozen=True)
class Case:
    """Everything the runtime is asked, and what the policy answers."""

    rows: Arrays  # good rows, then broken ones
    num_good: int
    slices: list[tuple[int, int]]
    sequence: Arrays
    initial: Arrays
    reset: np.ndarray | None

    def job(self) -> Job:
        return Job(self.rows, self.slices, self.sequence, self.initial, self.reset)

    @property
    def good(self) -> Arrays:
        return {k: x[: self.num_good] for k, x in self.rows.items()}

    @property
    def broken(self) -> Arrays:
        return {k: x[self.num_good :] for k, x in self.rows.items()}


def make_case(policy: AbstractPolicy, program: Program, options: ExportOptions, seed: int) -> Case:
    sign = program.signature
    good = make_inputs(policy, sign, max(options.num_observations, 1), seed, options.observations)
    num_good = len(next(iter(good.values())))
    broken = broken_inputs(sign, good) if options.nan_guard else {k: x[:0] for k, x in good.items()}
    rows = {k: np.concatenate([x, broken[k]]) for k, x in good.items()}
    total = len(next(iter(rows.values())))
    slices = []
    for size, limit in BATCHES:
        stop = num_good if limit is None else min(limit, num_good)
        slices += [(start, min(start + size, stop)) for start in range(0, stop, size)]
    slices += [(start, min(start + 64, total)) for start in range(num_good, total, 64)]
    if not sign.initial_state:
        return Case(rows, num_good, slices, {}, {}, None)
    random = np.random.default_rng(seed + 1)
    pick = random.integers(0, num_good, (SEQUENCE_STEPS, SEQUENCE_BATCH))
    sequence = {p.name: good[p.name][pick] for p in sign.inputs if p.name not in sign.initial_state}
    initial = {k: np.repeat(x[None], SEQUENCE_BATCH, 0) for k, x in sign.initial_state.items()}
    reset = random.random((SEQUENCE_STEPS, SEQUENCE_BATCH)) < RESET_PROBABILITY
    return Case(rows, num_good, slices, sequence, initial, reset)


@dataclasses.dataclass(frozen=True)
class Expected:
    """What the policy answers to a case: from JAX on good rows and sequences, from the guarded graph on broken ones.

    For a program of fewer digits all of it is from its graph.
    """

    good: Arrays
    moved: list[Arrays]
    ties: np.ndarray
    broken: Arrays
    sequence: Arrays


def expect(program: Program, case: Case) -> Expected:
    reference = Reference(program)
    good = reference(case.good)
    moved = [reference(inputs) for inputs in nudged(case.good)]
    sequence = reference.sequence(case.sequence, case.initial, case.reset) if case.reset is not None else {}
    broken = interpret(program.graph, case.broken) if len(next(iter(case.broken.values()))) else {}
    check_guard(program, broken, case.broken)
    return Expected(good, moved, near_ties(program.plain, case.good), broken, sequence)


def check_guard(program: Program, guarded: Arrays, inputs: Arrays) -> None:
    """The guard only ever turns an answer into an alarm: every other one is the plain policy's, and none hides a NaN.

    Raises: ExportError if it does not; that would be a defect of the guard itself.
    """
    plain = interpret(program.plain, inputs) if guarded else {}
    sentinels = program.signature.sentinels
    for port in program.signature.outputs if guarded else ():
        a, b = guarded[port.name], plain[port.name]
        if port.dtype.kind == "f":
            fine = np.isnan(a) | np.isclose(a, b, rtol=1e-4, atol=1e-4)
        else:
            fine = (a == sentinels.get(port.name, -1)) | (a == b)
        if not fine.all():
            k = int(np.argmin(fine.reshape(len(a), -1).all(-1)))
            raise ExportError(
                f"the NaN guard changed {port.name} from {b[k]} to {a[k]}: {show(inputs, k)}. Report this."
            )


@dataclasses.dataclass(frozen=True)
class Verdict:
    observations: int
    max_error: float
    actions_equal: int
    ties: int
    broken: int
    row_errors: np.ndarray  # of the good rows, each run once


def judge(target: str, program: Program, case: Case, want: Expected, answer: Answer) -> Verdict:
    """Compare all answers.

    Raises: ExportError with the worst observation and both answers.
    """
    ports = program.signature.outputs
    good_slices = [s for s in case.slices if s[1] <= case.num_good]
    order = np.concatenate([np.arange(*s) for s in good_slices])
    got = {k: x[: len(order)] for k, x in answer.flat.items()}
    moved = [take_slices(m, good_slices) for m in want.moved]
    rows = compare(ports, got, take_slices(want.good, good_slices), moved, want.ties[order])
    complain(
        target, program, rows, {k: x[order] for k, x in case.rows.items()}, got, take_slices(want.good, good_slices)
    )
    check_broken(target, program, case, want.broken, {k: x[len(order) :] for k, x in answer.flat.items()})
    steps = judge_sequence(target, program, case, want, answer)
    parts = [rows, *steps]
    errors = np.concatenate([part.errors for part in parts])
    return Verdict(
        observations=len(errors),
        max_error=float(errors[np.isfinite(errors)].max(initial=0.0)),
        actions_equal=int(sum((part.equal & ~part.failed).sum() for part in parts)),
        ties=int(sum(part.excused.sum() for part in parts)),
        broken=len(next(iter(case.broken.values()))),
        row_errors=np.where(rows.excused, np.inf, rows.errors)[: case.num_good],
    )


def judge_sequence(target: str, program: Program, case: Case, want: Expected, answer: Answer) -> list[Comparison]:
    if case.reset is None:
        return []

    def flat(arrays: Arrays) -> Arrays:
        return {k: x.reshape(-1, *x.shape[2:]) for k, x in arrays.items()}

    got, expected = flat(answer.sequence), flat(want.sequence)
    shape = (SEQUENCE_STEPS, SEQUENCE_BATCH)
    fed = {k: np.concatenate([case.initial[k][None], want.sequence[next_name(k)][:-1]]) for k in case.initial}
    inputs = flat(case.sequence | fed)
    ties = near_ties(program.plain, {p.name: inputs[p.name] for p in program.signature.inputs})
    ties = np.logical_or.accumulate(ties.reshape(shape), 0).reshape(-1)  # what follows a tie follows from it
    steps = compare(program.signature.outputs, got, expected, None, ties)
    complain(target, program, steps, inputs, got, expected)
    return [steps]


def complain(target: str, program: Program, rows: Comparison, inputs: Arrays, got: Arrays, want: Arrays) -> None:
    bad, share = rows.failed, rows.excused.mean()
    if not bad.any() and share <= MAX_TIE_SHARE:
        return
    if not bad.any():
        raise ExportError(
            f"export to {target}: {rows.excused.sum()} of {len(bad)} observations differ, all at near-ties. "
            "That many are no chance: train the policy further, or look for outputs that are all alike."
        )
    worst = int(np.argmax(np.where(bad, np.where(rows.equal, rows.errors, np.inf), -1)))
    names = [port.name for port in program.signature.outputs]
    raise ExportError(
        f"export to {target}: {bad.sum()} of {len(bad)} observations give another answer than the policy; nothing was "
        f"written. Worst: {show(inputs, worst)}\n  policy: {show({k: want[k] for k in names}, worst)}\n"
        f"  {target}: {show({k: got[k] for k in names}, worst)}"
    )


def check_broken(target: str, program: Program, case: Case, want: Arrays, got: Arrays) -> None:
    """On broken rows every answer is the guarded graph's, which `check_guard` compared with the policy."""
    if not want:
        return
    for port in program.signature.outputs:
        a, b = got[port.name], want[port.name]
        close = np.isclose(a, b, rtol=1e-4, atol=1e-4, equal_nan=True) if port.dtype.kind == "f" else a == b
        wrong = ~close.reshape(len(a), -1).all(-1)
        if wrong.any():
            wrong = wrong & ~near_ties(program.plain, case.broken)
        if wrong.any():
            k = int(np.argmax(wrong))
            raise ExportError(
                f"export to {target}: the NaN guard does not hold; nothing was written. {show(case.broken, k)}\n"
                f"  wanted {port.name} = {b[k]}, got {a[k]}"
            )


def show(arrays: Arrays, row: int) -> str:
    with np.printoptions(precision=6, threshold=16, edgeitems=4, linewidth=200):
        return ", ".join(f"{name} = {np.array2string(x[row])}" for name, x in arrays.items())
