"""A directory that is the old one or the new one, never half of each, whoever else writes or reads it.

The new one is written and synced beside its place as `.NAME.perdure-TOKEN.tmp` and takes the name in one step: a rename,
or, where the name is taken, Linux's exchange of two names. Where there is none, the old one first steps aside to
`.NAME.perdure-TOKEN.old`, from where `tidy` puts it back if a crash came between.

Who writes holds a shared lock on the folder, so who gets it for himself alone knows that whatever lies about was left by a
crash. Without locks (Windows) it lies until the user removes it.
"""

import ctypes
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from perdure._core import FileFormatError, SaveError, fsync_directory, make_directories

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")
_LEFTOVER = re.compile(r"\.(.+)\.perdure-[0-9a-f]{12}\.(tmp|old)")
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.EACCES)  # the last one on Windows
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def put_in_place(directory: Path, fill: Callable[[Path], None], *, force: bool, ours: Collection[str]) -> None:
    """Let `fill` write a directory, which then takes the place of `directory`.

    Raises: FileExistsError if there is one and not `force`, or if it has a file that is not among `ours`; SaveError if the
    disk refuses; whatever `fill` raises. On any error what was there stays.
    """
    directory = Path(os.path.realpath(directory))
    check_free(directory, force, ours)
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
                check_free(directory, force, ours)
                old = take_name(temporary, directory)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            in_place = True
            fsync_directory(directory.parent)
            shutil.rmtree(old, ignore_errors=True)
    except FileExistsError:
        raise
    except OSError as error:
        now = (
            "It is in place, but may not outlast a power failure" if in_place else "What was there before is unchanged"
        )
        raise SaveError(error.errno, f"saving {directory} failed: {error.strerror}. {now}") from error


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


def aside(directory: Path, what: str) -> Path:
    """A new name beside `directory`."""
    return directory.with_name(f".{directory.name}.perdure-{secrets.token_hex(6)}.{what}")


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
    if not any(_LEFTOVER.fullmatch(name) for name in os.listdir(folder)):
        return
    with locked(folder, shared=False) as alone:
        if not alone:
            return
        for name in sorted(os.listdir(folder)):
            if match := _LEFTOVER.fullmatch(name):
                if match[2] == "old" and not (folder / match[1]).exists():
                    os.rename(folder / name, folder / match[1])
                else:
                    shutil.rmtree(folder / name, ignore_errors=True)


def steadily(directory: Path, read: Callable[[], T]) -> T:
    """What `read` reads from a directory that others may replace meanwhile: it is read again if they did.

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
            raise FileNotFoundError(f"There is no checkpoint {str(directory)!r}. Check the folder and the name.")
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
        matches = map(_LEFTOVER.fullmatch, os.listdir(directory.parent))
        return any(match is not None and match[1] == directory.name for match in matches)
    return False
