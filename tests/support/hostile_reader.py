"""Reads files in a process of its own, and tells what that took and what was done on the way.

    python -m tests.support.hostile_reader FOLDER

Each line on the standard input is the JSON of `[how, path]`; FOLDER has a valid file for each way, which are read first, so
that whatever Python and JAX load only once is loaded.
"""

import contextlib
import ctypes
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import jax
from jax import random as jr

from perdure._core import FileFormatError, FingerprintError, loads_json
from perdure.checkpoint import latest, load, load_policy, load_policy_of, read_policy_header, verify
from perdure.env import TimeLimit
from perdure.env.classic_control import CartPole
from perdure.policy import MLPActorCriticPolicy
from tests.support.reliability_kit import Tiny

FORBIDDEN = ("exec", "compile", "import", "os.", "subprocess.", "socket.", "shutil.", "ctypes.", "marshal.", "pickle.")
ALLOWED = ("os.scandir", "os.listdir", "os.stat")
WAYS: dict[str, Any] = {
    "json": lambda path: loads_json(Path(path).read_bytes()),
    "checkpoint": load,
    "verify": verify,
    "policy of": load_policy_of,
    "latest": latest,
    "policy": load_policy,
    "header": read_policy_header,
    "eqx": Tiny.deserialize,
    "large eqx": lambda path: MLPActorCriticPolicy.deserialize(path, TimeLimit(CartPole(), 20), key=jr.key(0)),
}
done: list[str] = []
watching = False


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not watching:
        return
    if event == "open" and isinstance(arguments[0], str | bytes):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        written = isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if written or (not path.startswith(os.path.realpath(sys.argv[1])) and not path.startswith("/proc/self/")):
            done.append(f"open {arguments}")
    elif event.startswith(FORBIDDEN) and event not in ALLOWED:
        done.append(f"{event} {str(arguments)[:200]}")


def status(name: str) -> int:
    """A line of /proc/self/status in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def measured(how: str, path: str) -> dict[str, Any]:
    global watching
    before = 0
    with contextlib.suppress(OSError, AttributeError):  # memory that is free, but kept, would hide what is taken
        ctypes.CDLL(None).malloc_trim(0)
    if os.path.exists("/proc/self/clear_refs"):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = status("VmRSS")
    started = time.process_time()
    kind, message = None, ""
    watching = True
    try:
        WAYS[how](path)
    except (FileFormatError, FingerprintError, FileNotFoundError) as error:
        kind, message = type(error).__name__, str(error)
    except BaseException as error:
        kind, message = f"untyped {type(error).__name__}", str(error)
    finally:
        watching = False
    seconds = time.process_time() - started
    peak = status("VmHWM") - before if before else 0
    told = {"error": kind, "message": message[:2000], "seconds": seconds, "peak": peak * 1024, "done": [*done]}
    done.clear()
    return told


if __name__ == "__main__":
    warnings.simplefilter("error")
    jax.numpy.zeros(1).block_until_ready()
    folder = Path(sys.argv[1])
    valid = {
        "json": "valid.json",
        "checkpoint": "valid",
        "verify": "valid",
        "policy of": "valid",
        "policy": "valid.safetensors",
        "header": "valid.safetensors",
        "eqx": "valid.eqx",
        "large eqx": "large.eqx",
    }
    for how, name in valid.items():
        WAYS[how](folder / name)
        with_error = measured(how, str(folder / "absent"))
        assert with_error["error"] == "FileNotFoundError" or how == "json", (how, with_error)
    sys.addaudithook(watch)
    print(json.dumps({how: measured(how, str(folder / name)) for how, name in valid.items()}), flush=True)
    for line in sys.stdin:
        print(json.dumps(measured(*json.loads(line))), flush=True)
