"""Names beside a file or directory that is being written, and clearing up what a crash left under them.

Who writes holds a shared lock on the folder, so who gets it for himself alone knows that whatever lies about was left by a
crash. Without locks (Windows) it lies until the user removes it.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LEFTOVER = re.compile(r"\.(?:(.+)\.)?perdure-[0-9a-f]{12}\.(tmp|old)")  # group 1: the name that an old one had


def aside(path: Path, what: str) -> Path:
    """A new name beside `path`, from which its own can be told."""
    return path.with_name(f".{path.name}.perdure-{secrets.token_hex(6)}.{what}")


def nameless(folder: Path) -> Path:
    """A new name in a folder for what nobody misses; it fits beside a name as long as names may be."""
    return folder / f".perdure-{secrets.token_hex(6)}.tmp"


@contextmanager
def locked(folder: Path, *, shared: bool) -> Iterator[bool]:
    """Hold the folder's lock, together with others or, if nobody has it, alone; yields whether it is held."""
    if fcntl is None:
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        held = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # held by others, or a file system without locks
            held = False
        yield held
    finally:
        os.close(descriptor)


def tidy(folder: Path) -> None:
    """Clear up what crashes left in a folder, if nobody writes there now: put back what stood aside, remove the rest."""
    if not any(LEFTOVER.fullmatch(name) for name in os.listdir(folder)):
        return
    with locked(folder, shared=False) as alone:
        if not alone:
            return
        for name in sorted(os.listdir(folder)):
            if match := LEFTOVER.fullmatch(name):
                if match[2] == "old" and match[1] and not (folder / match[1]).exists():
                    os.rename(folder / name, folder / match[1])
                else:
                    remove(folder / name)


def remove(path: Path) -> None:
    """Remove a file or a directory, as far as it can be."""
    with suppress(OSError):  # `ignore_errors` does not cover every call that `rmtree` makes
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
