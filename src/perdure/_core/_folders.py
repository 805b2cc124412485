"""Directories that are the old one or the new one, never half of each, whoever else writes or reads them.

The new one is written and synced beside its place as `.NAME.perdure-TOKEN.tmp` and takes the name in one step: a rename,
or, where the name is taken, Linux's exchange of two names. Where there is none, the old one first steps aside to
`.NAME.perdure-TOKEN.old`, from where `tidy` puts it back if a crash came between.

`_leftovers` has the names and the lock that tells who writes from what a crash left.
"""

import ctypes
import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ._errors import FileFormatError, save_error
from ._files import fsync_directory, make_directories
from ._leftovers import LEFTOVER, aside, locked, remove, tidy

T = TypeVar("T")
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.EACCES)  # the last one on Windows
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def put_in_place(directory: Path, fill: Callable[[Path], None], *, check: Callable[[Path], None]) -> None:
    """Let `fill` write and sync a directory, which then takes the place of `directory`.

    `check(directory)` raises FileExistsError if what is there may not be replaced. It is called before the work and again
    right before the name is taken.

    Raises: what `check` raises; SaveError if the disk refuses; whatever else `fill` raises. On any error what was there stays.
    """
    directory = Path(os.path.realpath(directory))
    check(directory)
    in_place = False
    try:
        make_directories(directory.parent)
        with suppress(OSError):  # not being able to clear up is no reason not to save
            tidy(directory.parent)
        with locked(directory.parent, shared=True):
            temporary = aside(directory, "tmp")
            try:
                temporary.mkdir()
                fill(temporary)
                fsync_directory(temporary)
                check(directory)
                old = take_name(temporary, directory)
            except BaseException:
                remove(temporary)
                raise
            in_place = True
            fsync_directory(directory.parent)
            remove(old)
    except FileExistsError:
        raise
    except OSError as error:
        raise save_error(directory, error, in_place=in_place) from error


def take_name(new: Path, directory: Path) -> Path:
    """Give `new` the name of `directory`; where what had the name before, if anything, is now."""
    while True:
        try:
            os.rename(new, directory)
            return new
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        if exchange(new, directory):
            return new
        old = aside(directory, "old")
        with suppress(FileNotFoundError):  # another process had the same idea
            os.rename(directory, old)
            try:
                os.rename(new, directory)
            except BaseException:
                os.rename(old, directory)
                raise
            return old


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step (renameat2(2)); False where system or file system have no such call."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM):
        return False
    if number == errno.ENOENT:  # another process has taken it away meanwhile
        return False
    raise OSError(number, os.strerror(number), str(other))


def steadily(directory: Path, read: Callable[[], T], *, what: str) -> T:
    """What `read` reads from a directory that others may replace meanwhile: it is read again if they did.
    `what` is what it is called in messages.

    Raises: FileNotFoundError naming the directory, and what `read` raises of a directory that stayed.
    """
    for patience in range(1000):
        before = identity(directory)
        if before is None and patience < 20:
            with suppress(OSError):
                tidy(directory.parent)
            if aside_exists(directory):
                time.sleep(0.01)
            before = identity(directory)
        if before is None:
            raise FileNotFoundError(f"There is no {what} {str(directory)!r}. Check the folder and the name.")
        try:
            return read()
        except (FileFormatError, FileNotFoundError):
            if identity(directory) == before:
                raise
    raise FileFormatError(f"{directory} is replaced again and again, faster than it can be read.")


def identity(directory: Path) -> tuple[int, ...] | None:
    """What tells a directory from another one that takes its name; None if there is none."""
    try:
        found = os.stat(directory)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def aside_exists(directory: Path) -> bool:
    """Whether something of this name stands aside, so that it may come back."""
    with suppress(OSError):
        matches = map(LEFTOVER.fullmatch, os.listdir(directory.parent))
        return any(match is not None and match[1] == directory.name for match in matches)
    return False
