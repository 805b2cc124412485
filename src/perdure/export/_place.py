"""The folder that an export becomes: the old one stays until the new one is whole, and so do files of others.

An earlier export of the same policy is added to; one of another policy is replaced as a whole, if that is forced.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from perdure._core import FileFormatError, SaveError, fsync_directory, put_in_place, save_error, write_new

from ._manifest import MANIFEST, manifest_bytes
from ._merge import kept_targets, merged, not_mergeable
from ._read_manifest import Manifest, check_files, foreign_files, read_manifest

CHUNK_BYTES = 2**20
ATTEMPTS = 20  # at an export that others change meanwhile


class ChangedMeanwhile(Exception):
    """Another process has put its export there while this one was put together."""


def earlier(directory: Path) -> Manifest | None:
    """The export in a folder; None if there is none. Raises: FileFormatError for a manifest that no export wrote."""
    return read_manifest(directory) if os.path.lexists(directory / MANIFEST) else None


def check_free(directory: Path, force: bool, other: Callable[[Manifest], str | None]) -> None:
    """`other` says why an export that is there may not be added to; None if it may.

    Raises: FileExistsError for a file, or without `force` for a folder that holds files of others or such an export.
    """
    if not os.path.lexists(directory):
        return
    if not directory.is_dir():
        raise FileExistsError(f"{directory} is a file. Give a folder.")
    if force:
        return
    old = earlier(directory)
    if foreign := foreign_files(directory, old):
        others = f" and {len(foreign) - 1} more files" if len(foreign) > 1 else ""
        raise FileExistsError(
            f"{directory} holds {foreign[0]!r}{others}, which are not of an earlier export. "
            "Give another folder, or force=True to write into this one."
        )
    if old is not None and (reason := other(old)) is not None:
        raise FileExistsError(
            f"{directory} holds an export {reason}. Give another folder, or force=True (--force) to replace it."
        )


def to_keep(directory: Path, made: Manifest, force: bool) -> tuple[Manifest | None, list[str]]:
    """The earlier export that is added to, if it can be, and the files of others.

    With `force`, what cannot be added to is replaced, and all that lies with a manifest which cannot be read is kept.
    """
    if not directory.is_dir():
        return None, []
    try:
        old = earlier(directory)
        foreign = foreign_files(directory, old)
        if old is not None and not_mergeable(old, made) is None:
            check_files(directory, old)
            return old, foreign
    except FileFormatError:
        if not force:
            raise
        return None, foreign_files(directory, None)
    return None, foreign


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


def place(made: Path, directory: Path, force: bool) -> tuple[str, ...]:
    """Let the finished export in `made` take the place of `directory` in one step, with the targets that are kept.

    Returns: the names of the kept targets.
    Raises: FileExistsError as `check_free`; FileFormatError for a kept file that was changed; SaveError if the disk refuses.
    On any error what was there stays.
    """
    for _ in range(ATTEMPTS):
        try:
            return place_once(made, directory, force)
        except ChangedMeanwhile:
            continue
        except (FileExistsError, SaveError):
            raise
        except OSError as error:  # what is there, or was made, cannot be read
            raise save_error(directory, error, in_place=False) from error
    raise FileExistsError(f"{directory} is changed by others again and again. Export into another folder.")


def place_once(made: Path, directory: Path, force: bool) -> tuple[str, ...]:
    new = read_manifest(made)
    seen: list[bytes | None] = []
    kept: list[str] = []

    def fill(folder: Path) -> None:
        seen.append(manifest_there(directory))
        for path in sorted(made.rglob("*")):
            if path.is_dir():
                (folder / path.relative_to(made)).mkdir()
            elif path != made / MANIFEST:
                write_new(folder / path.relative_to(made), chunks_of(path))
        old, foreign = to_keep(directory, new, force)
        body = new.body
        if old is not None:
            body = merged(directory, old, new, folder)
            kept.extend(kept_targets(old, new))
        write_new(folder / MANIFEST, [manifest_bytes(body)])
        for file in foreign:
            if not os.path.lexists(folder / file):
                keep(directory / file, folder / file)
        for path in (path for path in folder.rglob("*") if path.is_dir()):
            fsync_directory(path)

    def check(found: Path) -> None:
        check_free(found, force, lambda old: not_mergeable(old, new))
        if seen and manifest_there(found) != seen[0]:
            raise ChangedMeanwhile

    put_in_place(directory, fill, check=check)
    return tuple(kept)


def manifest_there(directory: Path) -> bytes | None:
    try:
        return (directory / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
