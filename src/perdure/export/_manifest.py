"""`manifest.json`, written last: what was exported, the digest of every file, and what was proven.

Its own last field is the digest of all the others, so that any changed byte of it is noticed too.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from perdure._core import FileFormatError, atomic_write, dumps_json, loads_json, sha256
from perdure.export.program import Program

from ._report import NOT_PROVEN, ExportReport, TargetReport

MANIFEST = "manifest.json"
GOLDEN = "golden.safetensors"
FORMAT = 1
MAX_MANIFEST_BYTES = 4 * 2**20
FIELDS = {
    "action_space", "digest", "files", "fingerprint", "format", "name", "nan_guard", "observation_space",
    "perdure_version", "policy", "signature", "targets",
}  # fmt: skip


def golden_file(precision: str) -> str:
    """Inputs and answers of the targets of a precision."""
    return GOLDEN if precision == "float32" else f"golden_{precision}.safetensors"


def file_entry(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": sha256(data)}


def manifest_bytes(manifest: dict[str, Any]) -> bytes:
    """The file: indented JSON whose `digest` is that of the rest."""
    body = {k: v for k, v in manifest.items() if k != "digest"}
    full = body | {"digest": sha256(dumps_json(body))}
    return (json.dumps(full, indent=2, sort_keys=True, allow_nan=False) + "\n").encode("ascii")


def proof_of(row: TargetReport) -> dict[str, Any]:
    of_precision: dict[str, Any] = {"precision": row.precision, "note": row.note}
    if row.distance is not None:
        of_precision["distance"] = dataclasses.asdict(row.distance)
    if not row.is_proven:
        return {"status": NOT_PROVEN, "install": row.missing, **of_precision}
    return {
        "status": "proven" if row.distance is None else "quantised",
        "runtime": row.runtime,
        "observations": row.observations,
        "max_error": row.max_error,
        "actions_equal": row.actions_equal,
        "ties": row.ties,
        "broken": row.broken,
        "microseconds": row.microseconds,
        **of_precision,
        **({"memory": row.memory} if row.memory else {}),
    }


def write_manifest(
    folder: Path, program: Program, report: ExportReport, files: dict[str, list[str]], name: str
) -> None:
    """The manifest, after everything it speaks of."""
    data = program.metadata
    proofs = {row.target: {"files": files[row.target], **proof_of(row)} for row in report.targets}
    written = sorted(
        {file for names in files.values() for file in names} | {golden_file(row.precision) for row in report.targets}
    )
    manifest = {
        "format": FORMAT,
        "name": name,
        "policy": data["policy"],
        "fingerprint": data.get("fingerprint"),
        "perdure_version": data["perdure_version"],
        "observation_space": loads_json(data["observation_space"]),
        "action_space": loads_json(data["action_space"]),
        "signature": loads_json(data["signature"]),
        "nan_guard": loads_json(data["nan_guard"]),
        "targets": proofs,
        "files": {file: file_entry(folder / file) for file in written},
    }
    atomic_write(folder / MANIFEST, manifest_bytes(manifest))


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of an export, unchanged since it was written.

    Raises: FileNotFoundError if there is none, FileFormatError for anything but what `manifest_bytes` wrote.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{directory.name}/{MANIFEST} does not exist, so this is no export. Check the folder.")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise FileFormatError(f"{MANIFEST} has {path.stat().st_size} bytes; at most {MAX_MANIFEST_BYTES} are read.")
    data = path.read_bytes()
    manifest = loads_json(data)
    if not isinstance(manifest, dict) or set(manifest) != FIELDS:
        raise FileFormatError(f"{MANIFEST} does not have the fields of an export. Export the policy again.")
    if manifest["format"] != FORMAT:
        raise FileFormatError(
            f"{MANIFEST} has format {manifest['format']!r}, this version reads {FORMAT}. Update perdure."
        )
    if manifest_bytes(manifest) != data:
        raise FileFormatError(f"{MANIFEST} was changed after the export. Export the policy again.")
    return manifest


def check_files(directory: Path, manifest: dict[str, Any]) -> None:
    """Raises: FileFormatError that names the first file that is missing or changed."""
    for name, entry in manifest["files"].items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise FileFormatError(f"{MANIFEST} names a file outside of the folder: {name[:80]!r}.")
        path = directory / name
        if not path.is_file():
            raise FileFormatError(f"{name} is missing from the export. Export the policy again.")
        if path.stat().st_size != entry["bytes"]:
            raise FileFormatError(
                f"{name} was changed after the export: it has {path.stat().st_size} bytes, the manifest says "
                f"{entry['bytes']}. Export the policy again."
            )
        if (digest := sha256(path.read_bytes())) != entry["sha256"]:
            raise FileFormatError(
                f"{name} was changed after the export: its SHA-256 is {digest[:16]}..., the manifest says "
                f"{entry['sha256'][:16]}.... Export the policy again."
            )


def write_golden(path: Path, arrays: dict[str, np.ndarray]) -> None:
    path.write_bytes(save({k: np.array(v, order="C", copy=True) for k, v in arrays.items()}))


def read_golden(path: Path) -> dict[str, np.ndarray]:
    return dict(load(path.read_bytes()))
