"""Node and its packages, and a Node process that answers. The runners of the proof use it: it needs numpy alone.

The process runs `serve.mjs` with the script that opens a model; `messages.mjs` is the other half of
the messages.
"""

import contextlib
import contextvars
import json
import math
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
NO_NODE = "Node.js is not installed. Install it from https://nodejs.org or your system, as in: apt-get install nodejs"
Arrays = dict[str, Any]
NODE_MODULES = "PERDURE_NODE_MODULES"
WORKING_DIRECTORY = contextvars.ContextVar("WORKING_DIRECTORY", default=True)  # whether packages are looked for there


@contextlib.contextmanager
def named_modules_only() -> Iterator[None]:
    """Npm packages are those that PERDURE_NODE_MODULES names: a stranger's folder may be the working directory."""
    token = WORKING_DIRECTORY.set(False)
    try:
        yield
    finally:
        WORKING_DIRECTORY.reset(token)


def find_modules(package: str) -> Path | None:
    """The folder of npm packages that has this one: what PERDURE_NODE_MODULES names, else the nearest `node_modules`
    upward from the working directory. Where that variable is empty there is none."""
    named = os.environ.get(NODE_MODULES, None if WORKING_DIRECTORY.get() else "")
    here = Path.cwd()
    upward = [folder / "node_modules" for folder in (here, *here.parents)]
    folders = upward if named is None else [Path(named)] if named else []
    return next((folder.resolve() for folder in folders if (folder / package).is_dir()), None)


def missing_package(package: str | None) -> str | None:
    """What to install so that Node can run this npm package; None if it is here."""
    if shutil.which("node") is None:
        return NO_NODE
    if package is not None and find_modules(package) is None:
        return (
            f"The npm package {package} is not installed. Install it with: npm install {package} (in this folder or one "
            "above it, or set PERDURE_NODE_MODULES to a node_modules folder)"
        )
    return None


def encode(message: dict[str, Any], arrays: Arrays | None = None) -> bytes:
    """A line of JSON, then the arrays' bytes one after the other."""
    given = {name: np.asarray(x, order="C") for name, x in (arrays or {}).items()}
    specs = [{"name": name, "dtype": str(x.dtype), "shape": list(x.shape)} for name, x in given.items()]
    head = json.dumps({**message, "arrays": specs}).encode() + b"\n"
    return b"".join([head, *(x.tobytes() for x in given.values())])


def decode(data: bytes) -> tuple[dict[str, Any], Arrays]:
    """Raises: RuntimeError for what the other side says went wrong."""
    head, _, body = data.partition(b"\n")
    message, arrays, at = json.loads(head), {}, 0
    if "error" in message:
        raise RuntimeError(message["error"].splitlines()[0])
    for spec in message.pop("arrays"):
        dtype, shape = np.dtype(spec["dtype"]), tuple(spec["shape"])
        count = math.prod(shape)
        arrays[spec["name"]] = np.frombuffer(body, dtype, count, at).reshape(shape)
        at += count * dtype.itemsize
    return message, arrays


Ask = Callable[..., tuple[dict[str, Any], Arrays]]


def open_model(ask: Ask, model: str) -> dict[str, Any]:
    """What a runner's `open_model` gives, from whatever answers messages."""
    about, _ = ask({"ask": "open", "model": model})

    def prepare(inputs: Arrays) -> Callable[[], Arrays]:
        return lambda: ask({"ask": "run"}, inputs)[1]

    def seconds(inputs: Arrays, count: int) -> float:
        return float(ask({"ask": "time"}, inputs)[0]["seconds"])

    return {"prepare": prepare, "seconds": seconds, **about}


class Node:
    """A Node process; it ends when it is closed or forgotten.

    Raises: RuntimeError that says what to install.
    """

    def __init__(self, opener: Path, package: str | None = None):
        if (missing := missing_package(package)) is not None:
            raise RuntimeError(missing)
        modules = find_modules(package) if package else HERE
        command = ["node", str(HERE / "serve.mjs"), str(opener), str(modules)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, message: dict[str, Any], arrays: Arrays | None = None) -> tuple[dict[str, Any], Arrays]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        data = encode(message, arrays)
        with contextlib.suppress(BrokenPipeError):  # it has ended: what is read says so
            self.process.stdin.write(len(data).to_bytes(4, "little") + data)
            self.process.stdin.flush()
        size = self.process.stdout.read(4)
        if len(size) < 4:
            raise RuntimeError(f"Node ended with exit code {self.process.wait()}.")
        return decode(self.process.stdout.read(int.from_bytes(size, "little")))

    def open(self, model: str) -> dict[str, Any]:
        return open_model(self.ask, model)

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self.process.wait()

    def __del__(self) -> None:
        if hasattr(self, "process"):
            self.close()
