"""Saves marked checkpoints in child processes that are killed, or that all want the same place.

    python -m tests.support.fork_server CONTENTS

CONTENTS is a pickle of a `Contents` made by the test that starts this. Perdure is imported once; no device of JAX is
ever touched, so forking is safe. Each line on the standard input is an order in JSON, answered by a line.
"""

import contextlib
import json
import os
import pickle
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from perdure.checkpoint import BackgroundSaver, _background
from perdure.checkpoint._directory import write
from tests.support.reliability_kit import marked


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


if __name__ == "__main__":
    contents = pickle.loads(Path(sys.argv[1]).read_bytes())
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        answer = {"kill": kill_while_saving, "together": save_at_once}[order["do"]](contents, order)
        print(json.dumps(answer), flush=True)
