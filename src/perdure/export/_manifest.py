"""`manifest.json`, written last: what was exported, the digest of every file, and what was proven.

Its own last field is the digest of all the others, so that any changed byte of it is noticed too.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from perdure._core import atomic_write, dumps_json, loads_json, sha256
from perdure.export.program import Program

from ._golden import count_rows, load_golden
from ._report import NOT_PROVEN, ExportReport, TargetReport

MANIFEST = "manifest.json"
GOLDEN = "golden.safetensors"
FORMAT = 1
MAX_MANIFEST_BYTES = 4 * 2**20
PROVEN, QUANTISED = "proven", "quantised"
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


def golden_counts(path: Path) -> dict[str, int]:
    """Rows of a golden file, so that none can be taken away unnoticed."""
    return dataclasses.asdict(count_rows(load_golden(path.read_bytes(), path.name)))


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
        "status": PROVEN if row.distance is None else QUANTISED,
        "runtime": row.runtime,
        "observations": row.observations,
        "max_error": row.max_error,
        "actions_equal": row.actions_equal,
        "ties": row.ties,
        "max_excused": row.max_excused if math.isfinite(row.max_excused) else None,
        "broken": row.broken,
        "microseconds": row.microseconds,
        **({} if row.coverage is None else {"coverage": dataclasses.asdict(row.coverage)}),
        **of_precision,
        **({"memory": row.memory} if row.memory else {}),
    }


def write_manifest(
    folder: Path,
    program: Program,
    report: ExportReport,
    files: dict[str, list[str]],
    name: str,
    weights_sha256: str | None,
) -> None:
    """The manifest, after everything it speaks of."""
    data = program.metadata
    of_policy = {} if weights_sha256 is None else {"weights_sha256": weights_sha256}
    proofs = {row.target: {"files": files[row.target], **proof_of(row), **of_policy} for row in report.targets}
    golden = {golden_file(row.precision) for row in report.targets}
    counted = {file: {"rows": golden_counts(folder / file)} for file in golden}
    written = sorted({file for names in files.values() for file in names} | golden)
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
        "files": {file: file_entry(folder / file) | counted.get(file, {}) for file in written},
    }
    atomic_write(folder / MANIFEST, manifest_bytes(manifest))
