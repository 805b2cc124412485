"""Files that are either the old one or the new one, never half of each."""

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def sha256(data: bytes) -> str:
    """The SHA-256 of `data` as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def with_suffix(path: str | Path, suffix: str) -> Path:
    """`path` with `suffix` added unless it ends in it: `policy-0.95` -> `policy-0.95.eqx`."""
    path = Path(path)
    return path if path.name.endswith(suffix) else path.with_name(path.name + suffix)


def read_bytes(path: Path) -> bytes:
    """The whole file.

    Raises: FileNotFoundError that names the path as it was given.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"There is no file {str(path)!r}. Check the folder and the name.") from error


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable. Windows has no such call and journals them itself."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: str | Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file so that a crash, a full disk or a kill leaves the old content or the new, whole.

    The bytes go to a new file in the same directory, are synced, and take the name in one step. A symbolic link stays
    a link and its target is replaced; the permissions of a replaced file are kept. On any error nothing changes.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            for chunk in [data] if isinstance(data, bytes) else data:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(temporary, target.stat().st_mode & 0o7777)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(target.parent)
