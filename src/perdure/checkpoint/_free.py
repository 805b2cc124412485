"""Whether a directory may become a checkpoint."""

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path


def check_free(directory: Path, force: bool, ours: Collection[str]) -> None:
    """Raises: FileExistsError unless `directory` may be written, or replaced with `force`."""
    if not os.path.lexists(directory):
        return
    if not force:
        raise FileExistsError(f"{directory} exists. Choose another directory, or replace it with force=True.")
    if not directory.is_dir():
        raise FileExistsError(f"{directory} is a file, which force=True does not replace. Choose another name.")
    with suppress(FileNotFoundError):  # another process exchanges it just now
        if foreign := sorted(set(os.listdir(directory)) - set(ours)):
            raise FileExistsError(
                f"{directory} holds {foreign[0]!r}, which is no part of a checkpoint, so force=True does not replace it. "
                "Move it away, or choose another directory."
            )
