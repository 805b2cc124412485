"""Reading the files of a checkpoint directory: `metadata.json` first, which has the digest of every other one."""

import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perdure._core import MAX_BYTES, FileFormatError, dumps_json, loads_json, open_regular, read_bytes, sha256, steadily

from ._digest import entry_of
from ._format import check_format
from ._free import seems_ours
from ._state import BUFFER, MODEL, OPTIMIZER, TRAINING
from ._tensors import read_header, view_tensors

FIRST_FORMAT, FORMAT = FORMATS = ("perdure.checkpoint/1", "perdure.checkpoint/2")
METADATA = "metadata.json"
FILES = (METADATA, MODEL, OPTIMIZER, TRAINING, BUFFER)
MOST_VALUES = 2**20  # in metadata.json, which describes each moment of each parameter
_KINDS = {
    "perdure": str,
    "jax": str,
    "algorithm": str,
    "settings": dict,
    "steps": int,
    "policy": dict,
    "env": dict | None,
    "host": dict | None,
    "files": dict,
    "metadata": dict,
}
_LATER_KINDS = {"algorithm_version": int, "state": dict, "packages": dict}  # since format 2


def written_by(head: Mapping[str, Any]) -> Mapping[str, str]:
    """The packages that wrote a checkpoint, with their versions."""
    packages = head.get("packages", {})
    return {"perdure": head["perdure"], **{n: v for n, v in packages.items() if isinstance(v, str)}}


def read(
    directory: Path, names: tuple[str, ...], *, optional: bool = False
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """`metadata.json` and the arrays of these files by path, all from one checkpoint even if others replace it meanwhile.

    Other files that lie there, such as what systems put into every folder, are ignored, unless their names look like ours.

    Raises: FileNotFoundError, FileFormatError naming the file; ValueError if there is no buffer, unless `optional`.
    """

    def once() -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        head = read_metadata(directory)
        files = head["files"]
        present, wanted = set(os.listdir(directory)), {METADATA, *files}
        if missing := sorted(wanted - present):
            raise FileFormatError(f"{directory / missing[0]} is missing. Take another copy.")
        if foreign := sorted(name for name in present - wanted if seems_ours(name, FILES)):
            raise FileFormatError(f"{directory / foreign[0]} is no part of this checkpoint. Move it away.")
        if BUFFER in names and BUFFER not in files and not optional:
            raise ValueError(
                f"buffer=True, but {directory} was saved without one. Leave it out, or save with buffer=True."
            )
        return head, {name: read_tensors(directory / name, files[name]) for name in names if name in files}

    return steadily(directory, once, what="checkpoint")


def read_metadata(directory: Path) -> dict[str, Any]:
    """`metadata.json`, checked to be one of ours and whole. Raises: FileNotFoundError, FileFormatError naming the file."""
    path = directory / METADATA
    content = read_bytes(path, most=MAX_BYTES)
    try:
        head = loads_json(content, max_values=MOST_VALUES)
        if not isinstance(head, dict):
            raise FileFormatError("not a JSON object.")
        check_format(head.get("format"), FORMATS, head.get("perdure"))
        digest = head.pop("digest", None)
        if digest != sha256(dumps_json(head)) or dumps_json({**head, "digest": digest}) != content:
            raise FileFormatError("the file is damaged: its digest is not that of its content. Take another copy.")
        for name, kind in (_KINDS if head["format"] == FIRST_FORMAT else _KINDS | _LATER_KINDS).items():
            if name not in head or not isinstance(head[name], kind):
                raise FileFormatError(f"{name!r} is missing or no {getattr(kind, '__name__', kind)}.")
        named = head["files"].keys()
        if wrong := sorted({MODEL, OPTIMIZER, TRAINING} - named) or sorted(named - set(FILES[1:])):
            raise FileFormatError(f"'files' lacks {wrong[0][:80]!r}, or has it and should not.")
    except FileFormatError as error:
        raise type(error)(f"{path}: {error}") from error
    return head


def read_tensors(path: Path, entry: Any) -> dict[str, Any]:
    """The tensors of a file that has the size and digest that the metadata tell. Raises: FileFormatError naming it.

    They are views of the file itself, mapped into memory.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if not isinstance(entry, dict) or entry.get("size") != size or size == 0:
            raise FileFormatError(f"{path}: not what was saved with metadata.json: {size} bytes. Take another copy.")
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if entry != entry_of(memoryview(content), in_pieces="pieces" in entry):
            raise FileFormatError(f"{path}: not what was saved with metadata.json: SHA-256 differs. Take another copy.")
        try:
            tensors, metadata, start = read_header(file, size)
            check_format(metadata.get("format"), FORMATS, None)
            return view_tensors(content, tensors, start)
        except FileFormatError as error:
            raise FileFormatError(f"{path}: {error}") from error
