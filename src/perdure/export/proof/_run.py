"""Starts a runner and gives it work: another process, so that nothing of JAX or Perdure helps the exported file."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perdure._core import ExportError

from ._javascript import NODE_MODULES

TIMEOUT_SECONDS = 600
REPLAY = Path(__file__).with_name("replay.py")


@dataclasses.dataclass(frozen=True)
class Job:
    """What to run: rows in batches, and for a stateful policy sequences. Arrays by input name."""

    flat: dict[str, np.ndarray]
    slices: list[tuple[int, int]]
    sequence: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    initial: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    reset: np.ndarray | None = None
    timing: int = 100


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the runtime gave: rows in the order of the slices, sequences, and seconds for one observation."""

    flat: dict[str, np.ndarray]
    sequence: dict[str, np.ndarray]
    seconds: float | None
    runtime: str
    memory: dict[str, int | None] = dataclasses.field(default_factory=dict)  # bytes, where the runner measures them


def absolute_python_path() -> str:
    """PYTHONPATH for a process that starts elsewhere. An empty entry would be the folder where it starts."""
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(os.path.abspath(entry) for entry in entries if entry)


class Runner:
    """A runner process. It is started at once, so that it loads its runtime while the policy is still being traced."""

    def __init__(self, script: Path, *, alone: bool = False):
        """`alone` starts it in an empty folder, where neither Python nor Node finds anything of the working directory."""
        self.script = script
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self.work = tempfile.TemporaryDirectory(prefix="perdure-run-")
        self.folder = Path(self.work.name)
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        if alone:
            environment |= {"PYTHONPATH": absolute_python_path(), NODE_MODULES: os.environ.get(NODE_MODULES, "")}
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(REPLAY), str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self.errors,
            env=environment,
            cwd=self.folder if alone else None,
        )

    @property
    def name(self) -> str:
        """Of the script, for messages."""
        return f"{self.script.parent.name}/{self.script.name}"

    def submit(self, model: Path, job: Job) -> None:
        """Hand over the work; the runner begins."""
        write_job(self.folder, model, job)
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it failed while loading its runtime: `result` says how
            self.process.stdin.write(f"{self.folder}\n".encode())
            self.process.stdin.close()

    def result(self) -> Answer:
        """Wait for the answer.

        Raises: ExportError with the runtime's last words if it fails.
        """
        try:
            self.process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ExportError(f"{self.name} did not finish within {TIMEOUT_SECONDS} s.") from error
        if self.process.returncode != 0:
            raise ExportError(f"the exported model does not run ({self.name}): {self.last_words()}")
        return read_answer(self.folder)

    def last_words(self) -> str:
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        said = lines[-1][:500] if lines else f"exit code {self.process.returncode}"
        return "".join(
            letter if letter.isprintable() else "?" for letter in said
        )  # names of a stranger may be among it

    def close(self) -> None:
        """Stop the process if it still waits for work."""
        if self.process.poll() is None:
            self.process.kill()
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        self.process.wait()
        self.errors.close()
        self.work.cleanup()

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_job(folder: Path, model: Path, job: Job) -> None:
    arrays = {f"flat:{k}": v for k, v in job.flat.items()}
    if job.reset is not None:
        arrays |= {f"sequence:{k}": v for k, v in job.sequence.items()}
        arrays |= {f"initial:{k}": v for k, v in job.initial.items()}
        arrays["reset"] = job.reset
    np.savez(folder / "inputs.npz", **arrays)  # type: ignore[arg-type]
    settings = {"model": str(model), "slices": job.slices, "timing": job.timing}
    (folder / "job.json").write_text(json.dumps(settings))


def read_answer(folder: Path) -> Answer:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    with np.load(folder / "outputs.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}

    def group(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): x for name, x in arrays.items() if name.startswith(prefix)}

    runtime = f"{result['runtime']} {result['version']}".strip()
    return Answer(group("flat:"), group("sequence:"), result["seconds"], runtime, result.get("memory", {}))


def take_slices(arrays: dict[str, np.ndarray], slices: Sequence[tuple[int, int]]) -> dict[str, np.ndarray]:
    """The rows of `arrays` in the order in which a runner answers."""
    order = np.concatenate([np.arange(start, stop) for start, stop in slices])
    return {name: x[order] for name, x in arrays.items()}
