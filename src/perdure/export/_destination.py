"""The folder that an export becomes: the old one stays until the new one is whole, and so do files of others."""

import os
import secrets
import shutil
from pathlib import Path

from ._manifest import MANIFEST, read_manifest


def check_destination(directory: Path, force: bool) -> bool:
    """Whether the folder holds other files, which then stay.

    Raises: FileExistsError if it does and `force` is False.
    """
    if not directory.exists():
        return False
    if not directory.is_dir():
        raise FileExistsError(f"{directory} is a file. Give a folder.")
    present = {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}
    if not present:
        return False
    known: set[str] = set()
    if MANIFEST in present:
        known = {MANIFEST, *read_manifest(directory)["files"]} if not force else set()
    foreign = sorted(present - known)
    if foreign and not force:
        others = f" and {len(foreign) - 1} more files" if len(foreign) > 1 else ""
        raise FileExistsError(
            f"{directory} holds {foreign[0]!r}{others}, which are not of an earlier export. "
            "Give another folder, or force=True to write into this one."
        )
    return bool(foreign)


def put_in_place(temporary: Path, directory: Path, is_merged: bool) -> None:
    """Rename the finished folder to its name; what was there before stays until the new one is in place."""
    if is_merged:
        files = [path.relative_to(temporary) for path in temporary.rglob("*") if path.is_file()]
        for file in sorted(files, key=lambda f: f.name == MANIFEST):
            (directory / file).parent.mkdir(parents=True, exist_ok=True)
            os.replace(temporary / file, directory / file)
        return
    old = directory.parent / f".{directory.name}.{secrets.token_hex(6)}.old"
    if directory.exists():
        os.rename(directory, old)
    try:
        os.rename(temporary, directory)
    except BaseException:
        if old.exists():
            os.rename(old, directory)
        raise
    shutil.rmtree(old, ignore_errors=True)
