"""Saves marked checkpoints in child processes that are killed, that all want the same place, or that others read and remove.

    python -m tests.support.fork_server CONTENTS EXCHANGE

CONTENTS is a pickle of a `Contents` made by the test that starts this; EXCHANGE is 0 for a file system without exchange.
Perdure is imported once; no device of JAX is ever touched, so forking is safe. Each line on the standard input is an order
in JSON, answered by a line.
"""

import contextlib
import json
import os
import pickle
import random
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perdure._core import _folders
from perdure.checkpoint import BackgroundSaver, Retention, _background, latest
from perdure.checkpoint._directory import write
from tests.support.reliability_kit import marked, marker_of


def save_for_ever(contents: Any, order: dict[str, Any], done: int) -> None:
    """Save marker after marker, and write each that is whole to the pipe `done`."""
    folder, first = Path(order["folder"]), order["first"]

    def place(marker: int) -> Path:
        return folder / ("state" if order["overwrite"] else f"state_{marker}")

    if order["background"]:
        _background.pack = lambda _, state, **__: state  # it is packed already, and `pack` would need a device
        with BackgroundSaver() as saver:
            for marker in range(first, first + 10**6):
                state = marked(contents, marker)
                tell = marker.to_bytes(4, "little")
                saver.save(
                    place(marker), None, state, force=order["overwrite"], then=lambda tell=tell: os.write(done, tell)
                )
    for marker in range(first, first + 10**6):
        write(place(marker), marked(contents, marker), config=True, force=order["overwrite"])
        os.write(done, marker.to_bytes(4, "little"))


def kill_while_saving(contents: Any, order: dict[str, Any]) -> dict[str, Any]:
    """Kill a child that saves, after a random time. The last marker that was whole by then, or None."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            save_for_ever(contents, order, theirs)
        os._exit(1)
    os.close(theirs)
    told = os.read(ours, 4) if order["first_is_done"] else b""
    time.sleep(random.Random(order["seed"]).uniform(0, order["longest"]))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    while more := os.read(ours, 4096):
        told += more
    os.close(ours)
    return {
        "killed": os.WIFSIGNALED(status),
        "last": int.from_bytes(told[-4:], "little") if told else None,
    }


def save_at_once(contents: Any, order: dict[str, Any]) -> dict[str, Any]:
    """Let children save to one place, each so many times."""
    children = []
    for child in range(order["processes"]):
        number = os.fork()
        if number == 0:
            try:
                for turn in range(order["times"]):
                    write(Path(order["place"]), marked(contents, 1000 * child + turn), config=False, force=True)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
                os._exit(1)
            os._exit(0)
        children.append(number)
    failed = sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 for child in children)
    return {"failed": failed}


def save_next(contents: Any, folder: Path, counts: Counter[str]) -> None:
    """Save one more, now and then once again in its place, tell it, and remove all but two."""
    marker = counts["saves"] + 1
    for again in range(1 + (marker % 3 == 0)):
        write(folder / str(marker), marked(contents, marker), config=False, force=again > 0)
    told = folder.with_name("told.tmp")
    told.write_text(str(marker))
    told.replace(folder.with_name("told"))
    Retention(keep_last=2).apply(folder)
    counts["saves"] += 1


def prune(contents: Any, folder: Path, counts: Counter[str]) -> None:
    Retention(keep_last=2).apply(folder)
    counts["prunes"] += 1


def read_newest(contents: Any, folder: Path, counts: Counter[str]) -> None:
    """Find the newest, which is none before the one that was told last, and read it whole, unless it is removed by then."""
    least = int(folder.with_name("told").read_text())
    found = latest(folder)
    assert found is not None, "none was found"
    assert int(found.name) >= least, f"{found.name} was found, but {least} had been saved"
    try:
        assert marker_of(found) == int(found.name)
        counts["reads"] += 1
    except FileNotFoundError:
        counts["removed_before_read"] += 1
        assert int(folder.with_name("told").read_text()) > int(found.name), f"{found.name} is gone, but was the newest"


ROLES: dict[str, Callable[[Any, Path, Counter[str]], None]] = {
    "writer": save_next,
    "pruner": prune,
    "reader": read_newest,
}


def race(contents: Any, order: dict[str, Any]) -> dict[str, Any]:
    """Let children play their roles on one folder for so many seconds; what each did, and what went wrong in it."""
    folder, pipes = Path(order["folder"]), []
    write(folder / "0", marked(contents, 0), config=False, force=False)
    folder.with_name("told").write_text("0")
    for role in order["roles"]:
        ours, theirs = os.pipe()
        if os.fork() == 0:
            counts, errors, end = Counter[str](), list[str](), time.monotonic() + order["seconds"]
            warnings.simplefilter("error")
            while time.monotonic() < end and not errors:
                try:
                    ROLES[role](contents, folder, counts)
                except BaseException as error:
                    errors.append(f"{role}: {type(error).__name__}: {error}")
            os.write(theirs, json.dumps({"did": counts, "errors": errors}).encode())
            os._exit(0)
        os.close(theirs)
        pipes.append(os.fdopen(ours, "rb"))
    answers = [json.loads(pipe.read()) for pipe in pipes]
    for _ in pipes:
        os.wait()
    did = sum((Counter(answer["did"]) for answer in answers), Counter[str]())
    return {"did": did, "errors": [error for answer in answers for error in answer["errors"]]}


if __name__ == "__main__":
    contents = pickle.loads(Path(sys.argv[1]).read_bytes())
    if sys.argv[2] == "0":
        _folders.exchange = lambda one, other: False
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        answer = {"kill": kill_while_saving, "together": save_at_once, "race": race}[order["do"]](contents, order)
        print(json.dumps(answer), flush=True)
