"""What else may lie in the directory of a checkpoint, and whether a directory may become one."""

import os
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

LITTER = re.compile(  # what systems and editors put into every folder
    r"\.DS_Store|\._.*|\.localized|Icon\r|Thumbs\.db|ehthumbs\.db|desktop\.ini|\.directory|\.nfs[0-9a-f]+|@eaDir|__MACOSX"
)


def is_litter(name: str) -> bool:
    return LITTER.fullmatch(name) is not None


def seems_ours(name: str, ours: Collection[str]) -> bool:
    """Whether a file with that name may be taken for one of a checkpoint: one of another save, or a copy of one."""
    plain = name.casefold()
    return not is_litter(name) and (plain.endswith(".safetensors") or plain.startswith(tuple(ours)))


def foreign_in(directory: Path, ours: Collection[str]) -> list[str]:
    """The names in a directory that are neither of a checkpoint nor litter of the system, so may be somebody's work."""
    return sorted(name for name in os.listdir(directory) if name not in ours and not is_litter(name))


def check_free(directory: Path, force: bool, ours: Collection[str]) -> None:
    """Raises: FileExistsError unless `directory` may be written, or replaced with `force`."""
    if not os.path.lexists(directory):
        return
    if not force:
        raise FileExistsError(f"{directory} exists. Choose another directory, or replace it with force=True.")
    if not directory.is_dir():
        raise FileExistsError(f"{directory} is a file, which force=True does not replace. Choose another name.")
    with suppress(FileNotFoundError):  # another process exchanges it just now
        if foreign := foreign_in(directory, ours):
            raise FileExistsError(
                f"{directory} holds {foreign[0]!r}, which is no part of a checkpoint, so force=True does not replace it. "
                "Move it away, or choose another directory."
            )
