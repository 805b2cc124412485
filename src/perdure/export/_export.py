"""`export`: write a policy for its targets, prove each one, and only then put the folder in place."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
from jax import random as jr

from perdure.export.precision import FLOAT32, INT8, Distance, calibrate, distances_of, in_precision
from perdure.export.program import (
    ExportKeywords,
    ExportOptions,
    Program,
    lower,
    options_of,
    policy_fingerprint,
    shows_options,
)
from perdure.export.proof import (
    Answer,
    Case,
    Reference,
    Runner,
    Verdict,
    choose_golden,
    expect,
    judge,
    make_case,
)
from perdure.export.targets import Target, find_targets
from perdure.policy import AbstractPolicy

from ._golden import golden_bytes
from ._manifest import golden_file, write_manifest
from ._merge import other_policy, weights_sha256
from ._place import check_free, place
from ._report import ExportReport, TargetReport, unproven


@shows_options(ExportKeywords)
def export(
    policy: AbstractPolicy,
    directory: str | Path,
    targets: Sequence[str] | Literal["all"] = ("onnx",),
    *,
    force: bool = False,
    options: ExportOptions | None = None,
    **keywords: Unpack[ExportKeywords],
) -> ExportReport:
    """Write a policy to a folder, proven equal in each target's own runtime.

    The folder gets one file or more a target, `golden.safetensors` (inputs and the policy's answers) and
    `manifest.json` (digests, spaces, signature, what was proven); `verify` proves it again from these alone.

    What is exported is said by `options`, or by its fields as keywords; `ExportOptions` has them.

    Compared are samples of the space and its extremes, `observations` if given, every kind of mask, batches of 1, 7 and 64,
    and for a stateful policy sequences of 100 steps with resets. A target in float16 or int8 is compared with its own
    graph; how far that is from the policy is measured and reported.

    `targets="all"` are those whose writers are installed. A target whose runtime is not installed here is written, and
    said to be not proven here, with what to install.

    An earlier export of the same policy, its weights included, is added to: these targets are written or replaced, its others
    stay with what they were proven by. One of another policy, or with other inputs and outputs, is an error; `force=True`
    replaces it as a whole. Either way in one step. Other files in the folder are an error; with `force=True` they stay.

    Raises: ExportError where the policy cannot be exported or an answer differs - nothing is written then; ValueError
    for an unknown target, or for deterministic=False where there is nothing to sample; MissingExtraError where what writes
    a target is not installed; FileExistsError for a folder with other files or another
    policy in it; SaveError if the disk refuses.
    """
    options = options_of(options, keywords, ExportKeywords)
    found, directory = find_targets(targets), Path(directory)
    for target in found:
        target.require()
    fingerprint, weights = policy_fingerprint(policy), weights_sha256(policy)
    check_free(directory, force, lambda old: other_policy(old, fingerprint, weights))
    with tempfile.TemporaryDirectory(prefix="perdure-export-") as work:
        report = write_and_prove(policy, Path(work), found, options)
        kept = place(Path(work), directory, force)
    return dataclasses.replace(report, directory=str(directory), kept=kept)


def write_and_prove(
    policy: AbstractPolicy, folder: Path, targets: list[Target], options: ExportOptions
) -> ExportReport:
    """The whole export, in an empty folder. The runners start first: they load their runtimes while the policy is traced."""
    seed = 0 if options.key is None else int(np.asarray(jr.key_data(options.key)).ravel()[-1])
    runners = {target.name: Runner(target.runner) for target in targets if target.missing() is None}
    try:
        program = lower(policy, options, target=", ".join(target.name for target in targets))
        reference, fitted = Reference(program), None
        case = make_case(policy, program, reference, options, seed)
        precisions = {target.precision for target in targets}
        if INT8 in precisions or (options.calibration is not None and precisions != {FLOAT32}):
            fitted = calibrate(policy, program, reference, options, seed)
        programs = {precision: in_precision(program, precision, fitted) for precision in sorted(precisions)}
        measured = distances_of(programs, reference, case.good, fitted, seed)
        rows, files = prove(programs, case, reference, targets, runners, folder, options.name, measured)
    finally:
        for runner in runners.values():
            runner.close()
    report = ExportReport(str(folder), options.name, program.metadata.get("fingerprint"), tuple(rows))
    write_manifest(folder, program, report, files, options.name, weights_sha256(policy))
    return report


def prove(
    programs: dict[str, Program],
    case: Case,
    policy: Reference,
    targets: list[Target],
    runners: dict[str, Runner],
    folder: Path,
    name: str,
    distances: dict[str, Distance],
) -> tuple[list[TargetReport], dict[str, list[str]]]:
    """Write each target, start its runner, compute what its program answers meanwhile, compare."""
    files, rows = dict[str, list[str]](), dict[str, TargetReport]()
    for target in targets:
        written = target.write(programs[target.precision], folder, name)
        files[target.name] = [written.run, *written.beside]
        if target.name in runners:
            runners[target.name].submit(folder / written.run, case.job())
    for precision, program in programs.items():
        reference = policy if precision == FLOAT32 else Reference(program)
        want, those = expect(program, case, reference), [target for target in targets if target.precision == precision]
        answers = {t.name: runners[t.name].result() for t in those if t.name in runners}
        verdicts = {name: judge(name, program, case, want, answer) for name, answer in answers.items()}
        errors = np.max([np.zeros(case.num_good), *(verdict.row_errors for verdict in verdicts.values())], axis=0)
        steps = np.max(
            [np.zeros(() if case.reset is None else case.reset.shape), *(v.step_errors for v in verdicts.values())],
            axis=0,
        )
        arrays = choose_golden(program, case, want, errors, steps)
        (folder / golden_file(precision)).write_bytes(golden_bytes(arrays))
        for target in those:
            files[target.name] += target.finish(program, folder, name, arrays)
            if target.name in runners:
                row = report_of(target, files[target.name], folder, verdicts[target.name], answers[target.name])
            else:
                note, missing = target.note(files[target.name][0]), target.missing() or ""
                row = unproven(target.name, target.precision, files[target.name], folder, note, missing)
            rows[target.name] = dataclasses.replace(row, distance=distances.get(precision), coverage=case.coverage)
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
        max_excused=verdict.max_excused,
        broken=verdict.broken,
        microseconds=None if answer.seconds is None else answer.seconds * 1e6,
        memory=answer.memory,
        precision=target.precision,
        note=target.note(files[0]),
    )
