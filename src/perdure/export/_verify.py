"""`verify`: prove an exported folder again, from the folder alone."""

from pathlib import Path
from typing import Any

import numpy as np

from perdure._core import ExportError, rebuild, steadily
from perdure.export.precision import FLOAT32, Distance
from perdure.export.program import Port
from perdure.export.proof import TOLERANCE, Arrays, Job, Runner, float_errors
from perdure.export.targets import find_target
from perdure.space import AbstractSpace, leaves_of

from ._manifest import check_files, golden_file, read_golden, read_manifest
from ._report import ExportReport, TargetReport, unproven

NO_SUCH_TARGET = "No target of that name is here. Install the package that it was exported with."


def verify(directory: str | Path) -> ExportReport:
    """Check the digest of every file, and run the golden inputs in each target's runtime again.

    A target whose runtime is not installed here is reported as not proven here, with what to install; so is one of another
    package that is not here.

    Raises: FileFormatError for a file that is missing or was changed, by name; ExportError where an answer differs;
    FileNotFoundError if the folder is no export.
    """
    directory = Path(directory)
    manifest = steadily(directory, lambda: read_whole(directory), what="export")
    ports = output_ports(manifest)
    rows = []
    for name, proof in manifest["targets"].items():
        target, precision = find_target(name), proof.get("precision", FLOAT32)
        missing = NO_SUCH_TARGET if target is None else target.missing()
        if target is None or missing is not None:
            note = "" if target is None else target.note(proof["files"][0])
            rows.append(unproven(name, precision, proof["files"], directory, note, missing or ""))
            continue
        arrays = read_golden(directory / golden_file(precision))
        with Runner(target.runner) as runner:
            runner.submit((directory / proof["files"][0]).resolve(), golden_job(arrays))
            answer = runner.result()
        got = {f"output:{k}": x for k, x in answer.flat.items()} | {
            f"sequence_output:{k}": x for k, x in answer.sequence.items()
        }
        count, worst = compare_golden(target.name, ports, golden_answers(arrays), got)
        rows.append(
            TargetReport(
                target=target.name,
                file=proof["files"][0],
                size_bytes=sum((directory / file).stat().st_size for file in proof["files"]),
                runtime=answer.runtime,
                observations=count,
                max_error=worst,
                actions_equal=count,
                ties=0,
                broken=len(next(iter(group(arrays, "broken_input:").values()), ())),
                microseconds=None if answer.seconds is None else answer.seconds * 1e6,
                precision=precision,
                distance=Distance.read(proof["distance"]) if "distance" in proof else None,
                note=target.note(proof["files"][0]),
            )
        )
    return ExportReport(str(directory), manifest["name"], manifest["fingerprint"], tuple(rows))


def read_whole(directory: Path) -> dict[str, Any]:
    manifest = read_manifest(directory)
    check_files(directory, manifest)
    return manifest


def group(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): x for name, x in arrays.items() if name.startswith(prefix)}


def output_ports(manifest: dict[str, Any]) -> list[Port]:
    """The outputs with the spaces of the actions, which say what an error is relative to."""
    space = rebuild(manifest["action_space"], {}, root="action_space")
    spaces: dict[str, AbstractSpace] = dict(leaves_of(space, "action"))
    return [
        Port(port["name"], tuple(port["shape"]), np.dtype(port["dtype"]), spaces.get(port["name"]))
        for port in manifest["signature"]["outputs"]
    ]


def golden_job(arrays: Arrays) -> Job:
    good, broken = group(arrays, "input:"), group(arrays, "broken_input:")
    flat = {k: np.concatenate([x, broken[k]]) if k in broken else x for k, x in good.items()}
    total, num_good = len(next(iter(flat.values()))), len(next(iter(good.values())))
    slices = [(i, i + 1) for i in range(min(8, num_good))] + [(0, num_good)]
    if total > num_good:
        slices.append((num_good, total))
    return Job(
        flat, slices, group(arrays, "sequence_input:"), group(arrays, "sequence_initial:"), arrays.get("sequence_reset")
    )


def golden_answers(arrays: Arrays) -> Arrays:
    """What `golden_job` must give, in the order of its slices."""
    good, broken = group(arrays, "output:"), group(arrays, "broken_output:")
    want = {}
    for name, x in good.items():
        parts = [x[: min(8, len(x))], x, *([broken[name]] if name in broken else [])]
        want[f"output:{name}"] = np.concatenate(parts)
    return want | {k: x for k, x in arrays.items() if k.startswith("sequence_output:")}


def compare_golden(target: str, ports: list[Port], want: Arrays, got: Arrays) -> tuple[int, float]:
    """Number of rows, and the largest relative error.

    Raises: ExportError for the first output that differs.
    """
    worst, rows = 0.0, 0
    for kind in ("output:", "sequence_output:"):
        for port in ports:
            key = f"{kind}{port.name}"
            if key not in want:
                continue
            a, b = got[key], want[key]
            if a.shape != b.shape or a.dtype != b.dtype:
                raise ExportError(f"verify {target}: {key} is {a.dtype}{a.shape}, the golden one {b.dtype}{b.shape}.")
            lead = 2 if kind == "sequence_output:" else 1
            a, b = (x.reshape(-1, *x.shape[lead:]) for x in (a, b))
            errors = (
                float_errors(port, a, b)
                if port.dtype.kind == "f"
                else np.where((a != b).reshape(len(a), -1).any(-1), np.inf, 0)
            )
            if (errors > TOLERANCE).any():
                k = int(np.argmax(errors))
                raise ExportError(f"verify {target}: {port.name} is {a[k]} at golden row {k}, the policy gave {b[k]}.")
            worst = max(worst, float(errors.max(initial=0.0)))
        rows += (
            len(want[f"{kind}{ports[0].name}"].reshape(-1, *ports[0].shape)) if f"{kind}{ports[0].name}" in want else 0
        )
    return rows, worst
