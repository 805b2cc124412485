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

from ._boundaries import boundary_rows
from ._coverage import Coverage, search
from ._observations import BOUNDARY, SAMPLED, SEARCHED, broken_inputs, make_inputs
from ._run import Answer, Job, take_slices
from ._ties import is_answer
from ._tolerance import MAX_TIE_SHARE, Arrays, Comparison, compare, near_ties

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
    kinds: np.ndarray  # of the good rows: where they come from
    coverage: Coverage

    def job(self) -> Job:
        return Job(self.rows, self.slices, self.sequence, self.initial, self.reset)

    @property
    def good(self) -> Arrays:
        return {k: x[: self.num_good] for k, x in self.rows.items()}

    @property
    def broken(self) -> Arrays:
        return {k: x[self.num_good :] for k, x in self.rows.items()}


def make_case(
    policy: AbstractPolicy, program: Program, reference: Reference, options: ExportOptions, seed: int
) -> Case:
    sign = program.signature
    sampled = make_inputs(policy, sign, max(options.num_observations, 1), seed, options.observations)
    found = {SAMPLED: sampled, BOUNDARY: boundary_rows(sign, reference, sampled, seed)}
    found[SEARCHED], coverage = search(program, joined(*found.values()), seed)
    good = joined(*found.values())
    kinds = np.concatenate([np.full(len(next(iter(rows.values()))), kind) for kind, rows in found.items()])
    num_good = len(kinds)
    broken = broken_inputs(sign, good) if options.nan_guard else {k: x[:0] for k, x in good.items()}
    rows = joined(good, broken)
    total = len(next(iter(rows.values())))
    slices = []
    for size, limit in BATCHES:
        stop = num_good if limit is None else min(limit, num_good)
        slices += [(start, min(start + size, stop)) for start in range(0, stop, size)]
    slices += [(start, min(start + 64, total)) for start in range(num_good, total, 64)]
    if not sign.initial_state:
        return Case(rows, num_good, slices, {}, {}, None, kinds, coverage)
    random = np.random.default_rng(seed + 1)
    num_sampled = int((kinds == SAMPLED).sum())
    pick = random.integers(0, num_sampled, (SEQUENCE_STEPS, SEQUENCE_BATCH))
    sequence = {p.name: good[p.name][pick] for p in sign.inputs if p.name not in sign.initial_state}
    initial = {k: np.repeat(x[None], SEQUENCE_BATCH, 0) for k, x in sign.initial_state.items()}
    reset = random.random((SEQUENCE_STEPS, SEQUENCE_BATCH)) < RESET_PROBABILITY
    return Case(rows, num_good, slices, sequence, initial, reset, kinds, coverage)


def joined(*parts: Arrays) -> Arrays:
    """Rows of the same inputs, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@dataclasses.dataclass(frozen=True)
class Expected:
    """What the policy answers to a case: from JAX on good rows and sequences, from the guarded graph on broken ones.

    For a program of fewer digits all of it is from its graph. `ties` are rows near a decision.
    """

    reference: Reference
    good: Arrays
    ties: np.ndarray
    broken: Arrays
    sequence: Arrays


def expect(program: Program, case: Case, reference: Reference) -> Expected:
    good = reference(case.good)
    sequence = reference.sequence(case.sequence, case.initial, case.reset) if case.reset is not None else {}
    broken = interpret(program.graph, case.broken) if len(next(iter(case.broken.values()))) else {}
    check_guard(program, broken, case.broken)
    return Expected(reference, good, near_ties(program.plain, case.good), broken, sequence)


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
    max_error: float  # of the rows that need no excuse
    actions_equal: int
    ties: int  # rows that are excused
    max_excused: float  # the largest error among them; infinite where one side is no number
    broken: int
    row_errors: np.ndarray  # of the good rows, each run once; infinite where excused
    step_errors: np.ndarray  # (time, batch) of the sequences as they ran; infinite where an integer is another


def judge(target: str, program: Program, case: Case, want: Expected, answer: Answer) -> Verdict:
    """Compare all answers.

    Raises: ExportError with the worst observation and both answers.
    """
    good_slices = [s for s in case.slices if s[1] <= case.num_good]
    order = np.concatenate([np.arange(*s) for s in good_slices])
    got = {k: x[: len(order)] for k, x in answer.flat.items()}
    rows = judge_rows(
        target, program, {k: x[order] for k, x in case.rows.items()}, got, take_slices(want.good, good_slices)
    )
    check_broken(target, program, case, want.broken, {k: x[len(order) :] for k, x in answer.flat.items()})
    parts = [rows, *judge_sequence(target, program, case, want, answer)]
    errors = np.concatenate([part.errors for part in parts])
    excused = np.concatenate([part.excused for part in parts])
    return Verdict(
        observations=len(errors),
        max_error=float(errors[np.isfinite(errors) & ~excused].max(initial=0.0)),
        actions_equal=int(sum((~part.failed & ~part.excused).sum() for part in parts)),
        ties=int(excused.sum()),
        max_excused=float(errors[excused].max(initial=0.0)),
        broken=len(next(iter(case.broken.values()))),
        row_errors=np.where(rows.excused, np.inf, rows.errors)[: case.num_good],
        step_errors=free_errors(program, want.sequence, answer.sequence),
    )


def judge_rows(target: str, program: Program, inputs: Arrays, got: Arrays, want: Arrays) -> Comparison:
    """Raises: ExportError if a row differs without an excuse, or too many with one."""
    ports = program.signature.outputs

    def is_earned(k: int) -> bool:
        """The graph has to give the policy's own answer too: else it is not the policy, and excuses nothing."""
        row = {port.name: inputs[port.name][k : k + 1] for port in program.signature.inputs}
        theirs, ours = ({port.name: side[port.name][k : k + 1] for port in ports} for side in (got, want))
        return is_answer(program.plain, ports, row, ours) and is_answer(program.graph, ports, row, theirs)

    rows = compare(ports, got, want, is_earned)
    complain(target, program, rows, inputs, got, want)
    return rows


def judge_sequence(target: str, program: Program, case: Case, want: Expected, answer: Answer) -> list[Comparison]:
    """Each step from the memory that the target itself has there: what it remembers was compared a step before."""
    if case.reset is None:
        return []
    inputs = flat(case.sequence | {k: fed(case, k, answer.sequence[next_name(k)]) for k in case.initial})
    inputs = {port.name: inputs[port.name] for port in program.signature.inputs}
    return [judge_rows(target, program, inputs, flat(answer.sequence), want.reference(inputs))]


def flat(arrays: Arrays) -> Arrays:
    """(time, batch, ...) as rows."""
    return {k: x.reshape(-1, *x.shape[2:]) for k, x in arrays.items()}


def fed(case: Case, name: str, following: np.ndarray) -> np.ndarray:
    """The memory before each step, given that after each step."""
    before = np.concatenate([case.initial[name][None], following[:-1]])
    assert case.reset is not None
    at = case.reset.reshape(case.reset.shape + (1,) * (before.ndim - 2))
    return np.where(at, case.initial[name][None], before)


def free_errors(program: Program, want: Arrays, got: Arrays) -> np.ndarray:
    """(time, batch): how far the target is from the policy where each goes on from its own memory."""
    if not want:
        return np.zeros(())
    first = next(iter(want.values()))
    steps = compare(program.signature.outputs, flat(got), flat(want), lambda _: False)
    return np.where(steps.equal, steps.errors, np.inf).reshape(first.shape[:2])


def complain(target: str, program: Program, rows: Comparison, inputs: Arrays, got: Arrays, want: Arrays) -> None:
    bad, share = rows.failed, rows.excused.mean()
    if not bad.any() and share <= MAX_TIE_SHARE:
        return
    if not bad.any():
        raise ExportError(
            f"export to {target}: {rows.excused.sum()} of {len(bad)} observations differ where float32 rounding alone moves "
            "the policy. That many are no chance: train the policy further, or look for outputs that are all alike."
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
    ports = program.signature.outputs

    def is_earned(k: int) -> bool:
        row, theirs = ({name: x[k : k + 1] for name, x in side.items()} for side in (case.broken, got))
        return is_answer(program.graph, ports, row, theirs)

    rows = compare(ports, got, want, is_earned)
    if rows.failed.any():
        k = int(np.argmax(rows.failed))
        names = [port.name for port in ports]
        raise ExportError(
            f"export to {target}: the NaN guard does not hold; nothing was written. {show(case.broken, k)}\n"
            f"  wanted {show({name: want[name] for name in names}, k)}, got {show({name: got[name] for name in names}, k)}"
        )


def show(arrays: Arrays, row: int) -> str:
    with np.printoptions(precision=6, threshold=16, edgeitems=4, linewidth=200):
        return ", ".join(f"{name} = {np.array2string(x[row])}" for name, x in arrays.items())
