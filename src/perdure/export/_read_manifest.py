"""`manifest.json` of a folder that may be a stranger's, read with types, and the files that it lists.

Nothing is taken on trust: a target has only files that are listed, digested, regular and inside the folder.
"""

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from perdure._core import FileFormatError, loads_json, read_bytes, sha256
from perdure.export.precision import FLOAT16, FLOAT32, INT8, Distance
from perdure.export.program import Port
from perdure.graph import DTYPES

from ._golden import Rows
from ._manifest import FIELDS, FORMAT, MANIFEST, MAX_MANIFEST_BYTES, PROVEN, QUANTISED, golden_file, manifest_bytes
from ._report import NOT_PROVEN
from ._typed_json import Place, shown

PORT_DTYPES = sorted(str(dtype) for dtype in DTYPES)
MAX_PATH = 400  # characters
MAX_NAME = 200


@dataclasses.dataclass(frozen=True)
class Listed:
    """A file of the export."""

    size_bytes: int
    sha256: str
    rows: Rows | None = None  # of golden files; None in those of before they were recorded


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What the manifest says of a target."""

    files: tuple[str, ...]  # the first one is run
    golden: str
    precision: str
    broken: int
    weights_sha256: str | None  # of the policy that it was written from; None in manifests of before
    distance: Distance | None
    entry: dict[str, object]  # as it stands, for a manifest that keeps it


@dataclasses.dataclass(frozen=True)
class Manifest:
    name: str
    fingerprint: str | None
    action_space: dict[str, object]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    targets: dict[str, Recorded]
    files: dict[str, Listed]
    body: dict[str, object]  # all of it as it stands


def read_manifest(directory: Path) -> Manifest:
    """The manifest of an export, unchanged since it was written.

    Raises: FileNotFoundError if there is none; FileFormatError, with the field, for anything but what `manifest_bytes` wrote.
    """
    path = directory / MANIFEST
    if not os.path.lexists(path):
        raise FileNotFoundError(f"{directory.name}/{MANIFEST} does not exist, so this is no export. Check the folder.")
    if path.is_symlink():
        raise FileFormatError(f"{MANIFEST} is a link. Copy the export itself.")
    data = read_bytes(path, most=MAX_MANIFEST_BYTES)
    body = loads_json(data)
    root = Place(MANIFEST, "", body)
    if type(found := root.members().get("format", root).value) is not int or found != FORMAT:
        is_there = "format" in root.members()
        raise FileFormatError(
            f"{MANIFEST}: format is {shown(found) if is_there else 'missing'}, this version reads {FORMAT}. Update perdure."
        )
    fields = root.fields(sorted(FIELDS))
    if manifest_bytes(body) != data:
        raise FileFormatError(f"{MANIFEST} was changed after the export. Export the policy again.")
    files = {listed_name(name): listed(place) for name, place in fields["files"].members().items()}
    signature = fields["signature"].fields(("inputs", "outputs"))
    fields["action_space"].members()
    fields["observation_space"].members()
    guard = fields["nan_guard"].fields(("on", "action"))
    guard["on"].flag()
    guard["action"].members()
    for name in ("policy", "perdure_version"):
        fields[name].text(MAX_NAME)
    return Manifest(
        name=fields["name"].text(MAX_NAME),
        fingerprint=None if fields["fingerprint"].value is None else fields["fingerprint"].text(MAX_NAME),
        action_space=body["action_space"],
        inputs=ports_of(signature["inputs"]),
        outputs=ports_of(signature["outputs"]),
        targets={target_name(name): recorded(place, files) for name, place in fields["targets"].members().items()},
        files=files,
        body=body,
    )


def target_name(name: str) -> str:
    return Place(MANIFEST, "a name in targets", name).text(MAX_NAME)


def listed_name(name: str) -> str:
    """A file inside the folder, by one spelling only."""
    key = Place(MANIFEST, "a name in files", name)
    pure = PurePosixPath(key.text(MAX_PATH))
    is_plain = not pure.is_absolute() and ".." not in pure.parts and pure.parts and str(pure) == name
    if not is_plain or "\\" in name or PureWindowsPath(name).drive or name == MANIFEST:
        raise key.fault("the path of a file inside the folder, as in 'policy.onnx'")
    return name


def listed(place: Place) -> Listed:
    entry = place.fields(("bytes", "sha256"), ("rows",))
    rows = None
    if "rows" in entry:
        counts = entry["rows"].fields(("good", "broken", "steps"))
        rows = Rows(**{name: count.count() for name, count in counts.items()})
    return Listed(entry["bytes"].count(), entry["sha256"].digest(), rows)


def ports_of(place: Place) -> tuple[Port, ...]:
    """Inputs or outputs: at least one, each name once."""
    ports = []
    for row in place.items():
        fields = row.fields(("name", "shape", "dtype"), ("distribution", "hold_steps"))
        if not isinstance(fields["name"].value, str) or len(fields["name"].value) > MAX_NAME:
            raise fields["name"].fault(f"text of at most {MAX_NAME} characters")
        shape = tuple(d.count() for d in fields["shape"].items())
        ports.append(Port(fields["name"].value, shape, np.dtype(fields["dtype"].one_of(PORT_DTYPES))))
    if not ports or len({port.name for port in ports}) != len(ports):
        raise place.fault("at least one, each of another name")
    return tuple(ports)


def recorded(place: Place, files: dict[str, Listed]) -> Recorded:
    """A target's record; what else stands in it is of the proof and is not read again."""
    entry = place.fields(("files", "status"), None)
    entry["status"].one_of((PROVEN, QUANTISED, NOT_PROVEN))
    names = [member_of(file, files) for file in entry["files"].items()]
    if not names:
        raise entry["files"].fault("at least one file")
    precision = entry["precision"].one_of((FLOAT32, FLOAT16, INT8)) if "precision" in entry else FLOAT32
    usual = Place(place.file, f"the golden file of {place.path}", golden_file(precision))
    return Recorded(
        files=tuple(names),
        golden=member_of(entry.get("golden", usual), files),
        precision=precision,
        broken=entry["broken"].count() if "broken" in entry else 0,
        weights_sha256=entry["weights_sha256"].digest() if "weights_sha256" in entry else None,
        distance=distance_of(entry["distance"]) if "distance" in entry else None,
        entry={key: value.value for key, value in entry.items()},
    )


def member_of(place: Place, files: dict[str, Listed]) -> str:
    name = place.text(MAX_PATH)
    if name not in files:
        raise place.fault("a file that `files` lists")
    return name


def distance_of(place: Place) -> Distance:
    fields = place.fields([field.name for field in dataclasses.fields(Distance)])
    equal, returns = fields["actions_equal"], fields["returns"]
    means = [] if returns.value is None else [mean.number() for mean in returns.items()]
    if len(means) not in (0, 2):
        raise returns.fault("null or two numbers")
    return Distance(
        observations=fields["observations"].count(),
        source=fields["source"].text(),
        actions_equal=None if equal.value is None else equal.number(),
        max_error=fields["max_error"].number(),
        mean_error=fields["mean_error"].number(),
        returns=(means[0], means[1]) if means else None,
        episodes=fields["episodes"].count(),
    )


def read_listed(directory: Path, name: str, entry: Listed) -> bytes:
    """A file of the export, as the manifest has it.

    Raises: FileFormatError that names it if it is missing, changed, no regular file, or lies behind a link.
    """
    path = directory / name
    for part in (path, *(directory / parent for parent in PurePosixPath(name).parents)):
        if part != directory and part.is_symlink():
            raise FileFormatError(
                f"{name} is, or lies behind, a link, which may lead out of the folder. Copy the file."
            )
    try:
        data = read_bytes(path, most=entry.size_bytes)
    except FileNotFoundError as error:
        raise FileFormatError(f"{name} is missing from the export. Export the policy again.") from error
    except FileFormatError as error:
        raise FileFormatError(
            f"{name} was changed after the export: it is no regular file of the {entry.size_bytes} bytes that the "
            "manifest says. Export the policy again."
        ) from error
    if len(data) != entry.size_bytes:
        raise FileFormatError(
            f"{name} was changed after the export: it has {len(data)} bytes, the manifest says {entry.size_bytes}. "
            "Export the policy again."
        )
    if (digest := sha256(data)) != entry.sha256:
        raise FileFormatError(
            f"{name} was changed after the export: its SHA-256 is {digest[:16]}..., the manifest says "
            f"{entry.sha256[:16]}.... Export the policy again."
        )
    return data


def check_files(directory: Path, manifest: Manifest) -> None:
    """Raises: FileFormatError that names the first file that is missing or changed."""
    for name, entry in manifest.files.items():
        read_listed(directory, name, entry)


def copy_listed(directory: Path, manifest: Manifest, names: Iterable[str], to: Path) -> None:
    """Copies of these files alone: what is run of them is what was checked, and finds no other file of the folder."""
    for name in names:
        data = read_listed(directory, name, manifest.files[name])
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).write_bytes(data)


def foreign_files(directory: Path, manifest: Manifest | None) -> list[str]:
    """Files in a folder that are no part of its export, by their paths in it, sorted."""
    present = {p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_symlink() or not p.is_dir()}
    return sorted(present - ({MANIFEST, *manifest.files} if manifest is not None else set()))
