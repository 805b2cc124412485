"""One owner for a folder that a training writes: a lock that the end of its process releases, however it ends.

The lock is on a file in the folder, which says who holds it. A crash leaves the file, but not the lock.
"""

import dataclasses
import errno
import json
import os
import platform
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ._errors import save_error
from ._leftovers import fcntl

OWNER = ".perdure-owner"
MOST_BYTES = 1024  # of what the file says


@dataclasses.dataclass
class Hold:
    """A folder that this process holds."""

    descriptor: int
    process: int  # a forked child inherits this record, but not the folder
    thread: int
    depth: int  # how often it was taken


_holds: dict[Path, Hold] = {}
_guard = threading.RLock()


@contextmanager
def owning(folder: str | Path) -> Iterator[None]:
    """Be the one who writes to a folder that is there; the thread that is may be so again within.

    Where there are no such locks (Windows, some network file systems), a warning says so, and nobody is kept out.

    Raises: BlockingIOError (an OSError) naming who else holds it, by process, host and time; SaveError if the disk refuses.
    """
    file = Path(os.path.realpath(folder)) / OWNER
    with _guard:
        hold = _holds.get(file)
        if hold is None or hold.process != os.getpid():
            hold = _holds[file] = Hold(take(file, Path(folder)), os.getpid(), threading.get_ident(), 0)
        elif hold.thread != threading.get_ident():
            raise held_by_other(file, Path(folder))
        hold.depth += 1
    try:
        yield
    finally:
        with _guard:
            hold.depth -= 1
            if hold.depth == 0 and hold.process == os.getpid():
                del _holds[file]
                give_back(file, hold.descriptor)


def take(file: Path, folder: Path) -> int:
    """The open file, locked and with this process' name in it."""
    try:
        while True:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                lock(descriptor, file, folder)
                if is_at(descriptor, file):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, json.dumps(this_process()).encode(), 0)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # its owner has removed it meanwhile
    except BlockingIOError:
        raise
    except OSError as error:
        raise save_error(file, error, in_place=False) from error


def lock(descriptor: int, file: Path, folder: Path) -> None:
    """Lock an open file, if there are locks. Raises: BlockingIOError if another has."""
    try:
        if fcntl is None:
            raise OSError(errno.ENOTSUP, "this system has none")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise held_by_other(file, folder) from error
    except OSError as error:
        warnings.warn(
            f"{folder} cannot be locked ({error.strerror}), so a second training there would not be noticed.",
            stacklevel=6,
        )


def is_at(descriptor: int, file: Path) -> bool:
    """Whether an open file still has its name."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    return False


def this_process() -> dict[str, str | int]:
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return {"process": os.getpid(), "host": platform.node(), "since": since}


def give_back(file: Path, descriptor: int) -> None:
    """Remove the file, then release it, so that nobody takes one that is about to go."""
    with suppress(OSError):
        if is_at(descriptor, file):
            os.unlink(file)
    os.close(descriptor)


def held_by_other(file: Path, folder: Path) -> BlockingIOError:
    """What to say to who wants a folder that is held."""
    who = "another process"
    with suppress(OSError, ValueError, TypeError, KeyError):  # it has only just begun, or is somebody else's file
        with open(file, "rb") as opened:
            told = json.loads(opened.read(MOST_BYTES))
        who = f"process {int(told['process'])} on {printable(told['host'])}, since {printable(told['since'])}"
    return BlockingIOError(f"{folder} is in use by {who}. Wait for its end, or end it, or choose another folder.")


def printable(text: object) -> str:
    return "".join(letter for letter in str(text)[:80] if letter.isprintable())
