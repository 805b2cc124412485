"""Files that are either the old one or the new one, never half of each."""

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ._errors import FileFormatError, save_error
from ._leftovers import locked, nameless, remove, tidy


def sha256(data: bytes | memoryview) -> str:
    """The SHA-256 of `data` as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def with_suffix(path: str | Path, suffix: str) -> Path:
    """`path` with `suffix` added unless it ends in it: `policy-0.95` -> `policy-0.95.eqx`."""
    path = Path(path)
    return path if path.name.endswith(suffix) else path.with_name(path.name + suffix)


def read_bytes(path: Path, *, most: int | None = None) -> bytes:
    """The whole of a regular file.

    Raises: FileNotFoundError that names the path as it was given, FileFormatError for what is no regular file, which may
    block or never end, or has more than `most` bytes.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise FileFormatError(f"{path}: {size} bytes; at most {most} are read.")
        return file.read()


def open_regular(path: Path) -> io.BufferedReader:
    """A regular file, opened to read. Raises: as `read_bytes`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"There is no file {str(path)!r}. Check the folder and the name.") from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link to itself, a socket
            raise FileFormatError(f"{path} is no regular file.") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileFormatError(f"{path} is no regular file.")
    return os.fdopen(descriptor, "rb")


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable. Windows has no such call and journals them itself."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(path: Path) -> None:
    """Make a directory and those above it, durably, where they are not there."""
    if not path.is_dir():
        make_directories(path.parent)
        path.mkdir(exist_ok=True)
        fsync_directory(path.parent)


def write_new(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file that is not there yet, and sync it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: str | Path, data: bytes | Iterable[bytes | memoryview]) -> None:
    """Write a file so that a crash, a full disk or a kill leaves the old content or the new, whole.

    The bytes go to a new file in the same directory, are synced, and take the name in one step. A symbolic link stays
    a link and its target is replaced; the permissions of a replaced file are kept. On any error nothing changes; what a
    crash leaves is cleared up by the next one that writes to the directory.

    Raises: SaveError (an OSError) if the disk refuses.
    """
    target = Path(os.path.realpath(path))
    in_place = False
    try:
        with suppress(OSError):  # not being able to clear up is no reason not to save
            tidy(target.parent)
        with locked(target.parent, shared=True):
            temporary = nameless(target.parent)
            try:
                write_new(temporary, [data] if isinstance(data, bytes) else data)
                if target.exists():
                    os.chmod(temporary, target.stat().st_mode & 0o7777)
                os.replace(temporary, target)
            except BaseException:
                remove(temporary)
                raise
            in_place = True
        fsync_directory(target.parent)
    except OSError as error:
        raise save_error(target, error, in_place=in_place) from error
