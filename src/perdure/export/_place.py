"""The folder that an export becomes: the old one stays until the new one is whole, and so do files of others."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from perdure._core import FileFormatError, fsync_directory, put_in_place, write_new

from ._manifest import MANIFEST, read_manifest

CHUNK_BYTES = 2**20


def foreign_files(directory: Path) -> list[str]:
    """Files in a folder that are no part of an earlier export, by their paths in it, sorted.

    Raises: FileFormatError for a manifest that is not as an export wrote it.
    """
    present = {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_symlink() or not p.is_dir()}
    return sorted(present - ({MANIFEST, *read_manifest(directory)["files"]} if MANIFEST in present else set()))


def kept_files(directory: Path) -> list[str]:
    """What `force=True` keeps: foreign files, and all that lies with a manifest which cannot be read."""
    try:
        return foreign_files(directory)
    except FileFormatError:
        return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_symlink() or not p.is_dir())


def check_free(directory: Path, force: bool) -> None:
    """Raises: FileExistsError for a file, or without `force` for a folder that holds files of others."""
    if not os.path.lexists(directory):
        return
    if not directory.is_dir():
        raise FileExistsError(f"{directory} is a file. Give a folder.")
    if not force and (foreign := foreign_files(directory)):
        others = f" and {len(foreign) - 1} more files" if len(foreign) > 1 else ""
        raise FileExistsError(
            f"{directory} holds {foreign[0]!r}{others}, which are not of an earlier export. "
            "Give another folder, or force=True to write into this one."
        )


def chunks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def keep(old: Path, new: Path) -> None:
    """The same file under another name, or a copy of it where the file system has no such links."""
    new.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(old, new, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(old, new, follow_symlinks=False)


def place(made: Path, directory: Path, force: bool) -> None:
    """Let the finished export in `made` take the place of `directory` in one step.

    Raises: FileExistsError as `check_free`; SaveError if the disk refuses. On any error what was there stays.
    """

    def fill(folder: Path) -> None:
        for path in sorted(made.rglob("*")):
            if path.is_dir():
                (folder / path.relative_to(made)).mkdir()
            else:
                write_new(folder / path.relative_to(made), chunks_of(path))
        for file in kept_files(directory) if directory.is_dir() else ():
            if not os.path.lexists(folder / file):
                keep(directory / file, folder / file)
        for path in (path for path in folder.rglob("*") if path.is_dir()):
            fsync_directory(path)

    put_in_place(directory, fill, check=lambda found: check_free(found, force))
