"""`export`: write a policy for its targets, prove each one, and only then put the folder in place."""

import dataclasses
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jax import random as jr

from ._calibration import calibrate
from ._destination import check_destination, put_in_place
from ._golden import choose_golden
from ._manifest import golden_file, write_golden, write_manifest
from ._precision import FLOAT32, INT8, Distance, distances_of, in_precision
from ._program import Program, lower
from ._proof import Case, Reference, Verdict, expect, judge, make_case
from ._report import ExportReport, TargetReport, unproven
from ._run import Answer, Runner
from ._targets import Target, find_targets
from ._tolerance import TOLERANCE


def export(
    policy: Any,
    directory: str | Path,
    targets: Sequence[str] | Literal["all"] = ("onnx",),
    *,
    name: str = "policy",
    deterministic: bool = True,
    action_mask: bool = False,
    nan_guard: bool = True,
    outputs: Sequence[str] = ("action",),
    num_observations: int = 1000,
    observations: Any = None,
    calibration: Any = None,
    environment: str | None = None,
    key: Any = None,
    force: bool = False,
) -> ExportReport:
    """Write a policy to a folder, proven equal in each target's own runtime.

    The folder gets one file or more a target, `golden.safetensors` (inputs and the policy's answers) and
    `manifest.json` (digests, spaces, signature, what was proven); `verify` proves it again from these alone.

    Compared are `num_observations` samples of the space and its extremes, `observations` (a batch as the observation
    space has it) if given, every kind of mask, batches of 1, 7 and 64, and for a stateful policy sequences of 100 steps
    with resets. A target in float16 or int8 is compared with its own graph; how far that is from the policy is measured
    and reported. `calibration` says which observations int8 is fitted to: an environment, or a `.npy` or `.npz` file;
    by default `observations`, or else samples of the space (`_calibration`). `key` chooses the samples (default: always
    the same).

    With `deterministic=False` the export samples: it takes an input `noise` that the caller draws, and gives the action
    that the noise stands for (`_noise` has the kinds). The manifest says what to draw.

    `environment` is the id of the task, such as "CartPole-v1", which the target `web` then plays if it knows it; without
    it, a task with just the policy's spaces.

    `targets="all"` are those whose writers are installed. A target whose runtime is not installed here is written, and
    said to be not proven here, with what to install.

    An earlier export is replaced as a whole. Other files in the folder are an error; with `force=True` they stay.

    Raises: ExportError where the policy cannot be exported or an answer differs - nothing is written then; ValueError
    for an unknown target, or for deterministic=False where there is nothing to sample; MissingExtraError where what writes
    a target is not installed; FileExistsError for a folder with other files in it.
    """
    found, directory = find_targets(targets), Path(directory)
    for target in found:
        target.require()
    if not name or Path(name).name != name:
        raise ValueError(f"name={name!r} is no plain file name.")
    is_merged = check_destination(directory, force)
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = directory.parent / f".{directory.name}.{secrets.token_hex(6)}.tmp"
    temporary.mkdir()
    seed = 0 if key is None else int(np.asarray(jr.key_data(key)).ravel()[-1])
    try:
        runners = {target.name: Runner(target.runner) for target in found if target.missing() is None}
        try:
            program = lower(
                policy,
                target=", ".join(target.name for target in found),
                name=name,
                deterministic=deterministic,
                action_mask=action_mask,
                nan_guard=nan_guard,
                outputs=outputs,
                environment=environment,
            )
            case = make_case(policy, program, max(num_observations, 1), seed, observations, nan_guard)
            reference, fitted = Reference(program), None
            precisions = {target.precision for target in found}
            if INT8 in precisions or (calibration is not None and precisions != {FLOAT32}):
                fitted = calibrate(policy, program, reference, calibration, observations, seed)
            programs = {precision: in_precision(program, precision, fitted) for precision in sorted(precisions)}
            measured = distances_of(programs, reference, case.good, fitted, seed)
            rows, files = prove(programs, case, found, runners, temporary, name, measured)
        finally:
            for runner in runners.values():
                runner.close()
        report = ExportReport(str(directory), name, program.metadata.get("fingerprint"), tuple(rows))
        write_manifest(temporary, program, report, files, name)
        put_in_place(temporary, directory, is_merged)
        return report
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def prove(
    programs: dict[str, Program],
    case: Case,
    targets: list[Target],
    runners: dict[str, Runner],
    folder: Path,
    name: str,
    distances: dict[str, Distance],
) -> tuple[list[TargetReport], dict[str, list[str]]]:
    """Write each target, start its runner, compute what its program answers meanwhile, compare."""
    files, rows = dict[str, list[str]](), dict[str, TargetReport]()
    for target in targets:
        files[target.name] = target.write(programs[target.precision], folder, name)
        if target.name in runners:
            runners[target.name].submit(folder / files[target.name][0], case.job())
    for precision, program in programs.items():
        want, those = expect(program, case), [target for target in targets if target.precision == precision]
        answers = {t.name: runners[t.name].result() for t in those if t.name in runners}
        verdicts = {name: judge(name, program, case, want, answer) for name, answer in answers.items()}
        errors = np.max([np.zeros(case.num_good), *(verdict.row_errors for verdict in verdicts.values())], axis=0)
        arrays = choose_golden(case, want, errors)
        if precision == INT8 and any(verdict.max_error > TOLERANCE for verdict in verdicts.values()):
            arrays = {k: x for k, x in arrays.items() if not k.startswith("sequence")}  # a tie may be among its steps
        write_golden(folder / golden_file(precision), arrays)
        for target in those:
            files[target.name] += target.finish(program, folder, name, arrays)
            if target.name in runners:
                row = report_of(target, files[target.name], folder, verdicts[target.name], answers[target.name])
            else:
                row = unproven(target, files[target.name], folder)
            rows[target.name] = dataclasses.replace(row, distance=distances.get(precision))
    return [rows[target.name] for target in targets], files


def report_of(target: Target, files: list[str], folder: Path, verdict: Verdict, answer: Answer) -> TargetReport:
    return TargetReport(
        target=target.name,
        file=files[0],
        size_bytes=sum((folder / file).stat().st_size for file in files),
        runtime=answer.runtime,
        observations=verdict.observations,
        max_error=verdict.max_error,
        actions_equal=verdict.actions_equal,
        ties=verdict.ties,
        broken=verdict.broken,
        microseconds=None if answer.seconds is None else answer.seconds * 1e6,
        memory=answer.memory,
        precision=target.precision,
        note=target.note(files[0]),
    )
