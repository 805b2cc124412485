"""A disk that fails at a call of one's choice, and one that loses power: every call of a save that changes it goes through.

`FaultyDisk` fails in the process itself, at the k-th call: with an error, or, like a process that dies there, for ever.
`Recorder` writes down what the calls did, and `after_power_loss` gives what may then lie on the disk.
"""

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from perdure._core import _folders

CALLS = ("open", "write", "fsync", "close", "rename", "replace", "mkdir", "unlink", "rmdir", "chmod")
REAL = {name: getattr(os, name) for name in CALLS} | {"exchange": _folders.exchange}


class Died(BaseException):
    """Stands for the end of the process."""


@contextmanager
def intercepted(around: Callable[..., Any], *, with_exchange: bool) -> Iterator[None]:
    """Let `around(name, real, *arguments)` make every call that changes the disk."""
    exchange = REAL["exchange"] if with_exchange else lambda one, other: False
    try:
        for name in CALLS:
            setattr(os, name, lambda *a, _name=name, **k: around(_name, REAL[_name], *a, **k))
        _folders.exchange = lambda *a: around("exchange", exchange, *a)
        yield
    finally:
        for name in CALLS:
            setattr(os, name, REAL[name])
        _folders.exchange = REAL["exchange"]


class FaultyDisk:
    """Counts the calls; the one of number `at` fails: as `failure` says, "died", "torn" (died, half a write is made) or an
    error number; "full" is a disk that from there on takes no more.
    """

    def __init__(self, at: int | None, failure: Any, *, with_exchange: bool):
        self.at, self.failure, self.with_exchange = at, failure, with_exchange
        self.names: list[str] = []  # of the calls so far
        self.failed_at = ""
        self.open: set[int] = set()

    def call(self, name: str, real: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        self.names.append(name)
        if self.at is not None and len(self.names) >= self.at:
            if len(self.names) == self.at:
                self.failed_at = name
                if self.failure == "torn" and name == "write":
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            self.fail(name, real, arguments)
        result = real(*arguments, **more)
        if name == "open":
            self.open.add(result)
        if name == "close":
            self.open.discard(arguments[0])
        return result

    def fail(self, name: str, real: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        if self.failure in ("died", "torn"):
            raise Died
        if self.failure == "full":
            if name in ("write", "fsync", "mkdir", "rename", "replace", "exchange"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        elif len(self.names) == self.at:
            if name == "close":  # Linux closes it all the same
                real(*arguments)
                self.open.discard(arguments[0])
            raise OSError(self.failure, os.strerror(self.failure))

    @contextmanager
    def used(self) -> Iterator[None]:
        try:
            with intercepted(self.call, with_exchange=self.with_exchange):
                yield
        finally:
            if self.failure in ("died", "torn"):  # what a dead process had open, locks among it
                for descriptor in self.open:
                    with suppress(OSError):
                        REAL["close"](descriptor)


class File:
    """What is in a file now, and what of it is on the disk for certain."""

    def __init__(self, content: bytes = b""):
        self.now, self.synced = content, content


class Folder:
    """The names in a directory that are on the disk for certain, and the changes since, in their order."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self.synced: dict[str, Any] = {}
        self.pending: list[tuple[Any, ...]] = []

    def change(self, *operation: Any) -> None:
        apply(self.names, operation)
        self.pending.append(operation)

    def sync(self) -> None:
        self.synced, self.pending = dict(self.names), []


def apply(names: dict[str, Any], operation: tuple[Any, ...]) -> None:
    """Make one change to the names of a directory, where it can be made without those before it."""
    match operation:
        case "add", name, node:
            names[name] = node
        case "remove", name:
            names.pop(name, None)
        case "move", one, other:
            if one in names:
                names[other] = names.pop(one)
        case "exchange", one, other:
            if one in names and other in names:
                names[one], names[other] = names[other], names[one]


class Recorder:
    """Makes the calls, and follows in a model what of them has reached the disk below `root`."""

    def __init__(self, root: Path, *, with_exchange: bool):
        self.root, self.with_exchange = root, with_exchange
        self.top = self.model_of(root)
        self.descriptors: dict[int, Any] = {}
        self.moments: list[tuple[str, Any]] = []

    def model_of(self, path: Path) -> Any:
        if path.is_file():
            return File(path.read_bytes())
        folder = Folder()
        for entry in path.iterdir():
            folder.names[entry.name] = self.model_of(entry)
        folder.sync()
        return folder

    def parent(self, path: Any) -> tuple[Folder, str]:
        parts = Path(path).relative_to(self.root).parts
        folder = self.top
        for part in parts[:-1]:
            folder = folder.names[part]
        return folder, parts[-1]

    def node(self, path: Any) -> Any:
        if Path(path) == self.root:
            return self.top
        folder, name = self.parent(path)
        return folder.names[name]

    def call(self, name: str, real: Callable[..., Any], *arguments: Any, dir_fd: int | None = None, **more: Any) -> Any:
        if dir_fd is not None:
            more["dir_fd"] = dir_fd
        result = real(*arguments, **more)
        self.follow(name, result, dir_fd, *arguments)
        self.moments.append((name, snapshot(self.top)))
        return result

    def follow(self, name: str, result: Any, dir_fd: int | None, *arguments: Any) -> None:
        def place(path: Any) -> tuple[Folder, str]:
            return (self.descriptors[dir_fd], str(path)) if dir_fd is not None else self.parent(path)

        match name, arguments:
            case "open", (path, flags, *_):
                folder, own = place(path) if Path(path) != self.root else (None, "")
                if folder is not None and flags & os.O_CREAT:
                    folder.change("add", own, File())
                self.descriptors[result] = self.top if folder is None else folder.names[own]
            case "write", (descriptor, data):
                self.descriptors[descriptor].now += bytes(data[:result])
            case "fsync", (descriptor,):
                node = self.descriptors[descriptor]
                if isinstance(node, File):
                    node.synced = node.now
                else:
                    node.sync()
            case "close", (descriptor,):
                self.descriptors.pop(descriptor, None)
            case "mkdir", (path, *_):
                folder, own = place(path)
                folder.change("add", own, Folder())
            case (("rename" | "replace"), (one, other)):
                folder, own = place(one)
                folder.change("move", own, place(other)[1])
            case "exchange", (one, other) if result:
                folder, own = place(one)
                folder.change("exchange", own, place(other)[1])
            case (("unlink" | "rmdir"), (path, *_)):
                folder, own = place(path)
                folder.change("remove", own)

    @contextmanager
    def used(self) -> Iterator[None]:
        with intercepted(self.call, with_exchange=self.with_exchange):
            yield


def snapshot(node: Any, seen: dict[int, Any] | None = None) -> Any:
    """A copy of a model, in which what is one stays one."""
    seen = {} if seen is None else seen
    if id(node) in seen:
        return seen[id(node)]
    if isinstance(node, File):
        seen[id(node)] = copy = File()
        copy.now, copy.synced = node.now, node.synced
        return copy
    seen[id(node)] = folder = Folder()
    folder.synced = {name: snapshot(member, seen) for name, member in node.synced.items()}
    folder.names = {name: snapshot(member, seen) for name, member in node.names.items()}
    folder.pending = [
        tuple(snapshot(part, seen) if isinstance(part, File | Folder) else part for part in operation)
        for operation in node.pending
    ]
    return folder


def after_power_loss(node: Any, place: Path, choose: random.Random, *, ordered: bool) -> None:
    """Write to `place` what may be there once the power is back.

    Of what was not synced, a file keeps none, a part, zeros in its place, or all; a directory keeps the first few of the
    changes of its names, or, if not `ordered`, any of them.
    """
    if isinstance(node, File):
        rest = node.now[len(node.synced) :]
        kept = choose.choice([b"", rest[: choose.randrange(len(rest) + 1)], bytes(len(rest)), rest])
        place.write_bytes(node.synced + kept)
        return
    names = dict(node.synced)
    many = choose.randrange(len(node.pending) + 1)
    for at, operation in enumerate(node.pending):
        if at < many if ordered else choose.random() < 0.5:
            apply(names, operation)
    place.mkdir()
    for name, member in names.items():
        after_power_loss(member, place / name, choose, ordered=ordered)


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder
