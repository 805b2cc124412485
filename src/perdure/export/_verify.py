"""`verify`: prove an exported folder again, from the folder alone. The folder may be a stranger's.

Data is proven, code is not run: what a target has of code runs only with `trust`. What is run is a copy of the files that
the manifest lists and digests, in a process that starts in an empty folder.
"""

import tempfile
from pathlib import Path

import numpy as np

from perdure._core import ExportError, FileFormatError, rebuild, steadily
from perdure.export.program import Port
from perdure.export.proof import TOLERANCE, Answer, Arrays, Runner, float_errors, named_modules_only
from perdure.export.targets import Target, find_target
from perdure.space import AbstractSpace, leaves_of

from ._golden import check_golden, golden_answers, golden_job, load_golden
from ._manifest import MANIFEST
from ._read_manifest import Manifest, Recorded, check_files, copy_listed, foreign_files, read_listed, read_manifest
from ._report import ExportReport, TargetReport, unproven
from ._typed_json import shown

NO_SUCH_TARGET = "No target of that name is here. Install the package that it was exported with."
HOW_TO_TRUST = "perdure verify FOLDER --trust, or verify(folder, trust=True)"
NOT_TRUSTED = f"It is code, which is run only for a folder that you trust: {HOW_TO_TRUST}."


def verify(directory: str | Path, *, trust: bool = False) -> ExportReport:
    """Check the digest of every file, and run the golden inputs in each target's runtime again.

    Data is proven: ONNX, TFLite, StableHLO, and weights by Perdure's own interpreter. Code of the folder is not run: C, PyTorch,
    JavaScript, web pages, the numpy script, and other packages' targets unless they say that they are data. Those rows
    say what to type. With `trust=True` all is run, as you would run a program from the same source.

    A target whose runtime is not installed here is reported as not proven here, with what to install; so is one of another
    package that is not here. Npm packages are those of PERDURE_NODE_MODULES alone. Files in the folder that the manifest does
    not list are named in the report and not looked at.

    Raises: FileFormatError for a manifest that no export wrote, for a file that is missing or was changed, or where there is
    nothing to compare, with file and field; ExportError where an answer differs; FileNotFoundError if the folder is no export.
    """
    directory = Path(directory)
    manifest, golden = steadily(directory, lambda: read_whole(directory), what="export")
    ports = output_ports(manifest)
    with named_modules_only():
        rows = [
            verify_target(name, record, directory, manifest, golden[record.golden], ports, trust)
            for name, record in manifest.targets.items()
        ]
    foreign = tuple(foreign_files(directory, manifest))
    return ExportReport(str(directory), manifest.name, manifest.fingerprint, tuple(rows), foreign=foreign)


def read_whole(directory: Path) -> tuple[Manifest, dict[str, Arrays]]:
    """The manifest, every file as it says, and the golden arrays by their file."""
    manifest = read_manifest(directory)
    check_files(directory, manifest)
    if not manifest.targets:
        raise FileFormatError(f"{MANIFEST}: targets is empty, so there is nothing to prove. Export the policy again.")
    golden = {}
    for target, record in manifest.targets.items():
        known = find_target(target)
        if known is not None and known.precision != record.precision:
            raise FileFormatError(
                f"{MANIFEST}: targets.{shown(target)}.precision is {record.precision}, but that target is "
                f"{known.precision}. Export the policy again."
            )
        entry = manifest.files[record.golden]
        arrays = load_golden(read_listed(directory, record.golden, entry), record.golden)
        check_golden(record.golden, arrays, manifest.inputs, manifest.outputs, entry.rows, record.broken > 0)
        golden[record.golden] = arrays
    return manifest, golden


def output_ports(manifest: Manifest) -> list[Port]:
    """The outputs with the spaces of the actions, which say what an error is relative to."""
    space = rebuild(manifest.action_space, {}, root="action_space")
    spaces: dict[str, AbstractSpace] = dict(leaves_of(space, "action"))
    return [Port(port.name, port.shape, port.dtype, spaces.get(port.name)) for port in manifest.outputs]


def scripts_of(target: Target, trust: bool) -> list[Path]:
    """What runs the target: what takes its data alone, and what runs its code where that is allowed or it has none."""
    data = [] if target.data_runner is None else [target.data_runner]
    return data + ([target.runner] if trust or not target.runs_code else [])


def verify_target(
    name: str, record: Recorded, directory: Path, manifest: Manifest, arrays: Arrays, ports: list[Port], trust: bool
) -> TargetReport:
    target = find_target(name)
    note = "" if target is None else target.note(record.files[0])
    scripts = [] if target is None else scripts_of(target, trust)
    missing = NO_SUCH_TARGET if target is None else target.missing() if scripts else NOT_TRUSTED
    if missing is not None:
        return unproven(name, record.precision, record.files, directory, note, missing)
    if target is not None and target.runner not in scripts:
        note = f"{note} Of {name} the data was proven; its code was not run: {HOW_TO_TRUST}.".strip()
    want, answers, worst, count = golden_answers(arrays), list[Answer](), 0.0, 0
    for script in scripts:
        with tempfile.TemporaryDirectory(prefix="perdure-verify-") as work, Runner(script, alone=True) as runner:
            copy_listed(directory, manifest, record.files, Path(work))
            runner.submit(Path(work).resolve() / record.files[0], golden_job(arrays))
            answers.append(runner.result())
        got = {f"output:{k}": x for k, x in answers[-1].flat.items()}
        got |= {f"sequence_output:{k}": x for k, x in answers[-1].sequence.items()}
        count, error = compare_golden(name, ports, want, got)
        worst = max(worst, error)
    return TargetReport(
        target=name,
        file=record.files[0],
        size_bytes=sum(manifest.files[file].size_bytes for file in record.files),
        runtime=" and ".join(answer.runtime for answer in answers),
        observations=count,
        max_error=worst,
        actions_equal=count,
        ties=0,
        broken=len(next((x for k, x in arrays.items() if k.startswith("broken_input:")), ())),
        microseconds=None if answers[-1].seconds is None else answers[-1].seconds * 1e6,
        precision=record.precision,
        distance=record.distance,
        note=note,
    )


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
            if key not in got:
                raise ExportError(f"verify {target}: it gives no {shown(key)}, which the policy has.")
            a, b = got[key], want[key]
            if a.shape != b.shape or a.dtype != b.dtype:
                raise ExportError(
                    f"verify {target}: {shown(key)} is {a.dtype}{a.shape}, the golden one {b.dtype}{b.shape}."
                )
            lead = 2 if kind == "sequence_output:" else 1
            a, b = (x.reshape(-1, *x.shape[lead:]) for x in (a, b))
            errors = (
                float_errors(port, a, b)
                if port.dtype.kind == "f"
                else np.where((a != b).reshape(len(a), -1).any(-1), np.inf, 0)
            )
            if (errors > TOLERANCE).any():
                k = int(np.argmax(errors))
                with np.printoptions(threshold=16, edgeitems=4):
                    raise ExportError(
                        f"verify {target}: {shown(port.name)} is {a[k]} at golden row {k}, the policy gave {b[k]}."
                    )
            worst = max(worst, float(errors.max(initial=0.0)))
        rows += (
            len(want[f"{kind}{ports[0].name}"].reshape(-1, *ports[0].shape)) if f"{kind}{ports[0].name}" in want else 0
        )
    return rows, worst
