"""Runs an exported policy in its own runtime: started as `python replay.py .../onnx/runner.py`, with that runtime alone.

The script opens a model: `open_model(path, folder)` gives `prepare`, `runtime`, `version` and what else it measured.
`prepare(inputs)` is a call that answers a batch. If it also gives `seconds(inputs, count)`, that times the calls: for a
runtime in yet another process. If it gives `initial`, that is the memory that the artifact itself starts from. Then the path
of a job folder is read from standard input. `job.json` there holds

- `model`: path of the model;
- `slices`: [start, stop] rows of the arrays `flat:<input>` of `inputs.npz`, each run as one batch;
- `timing`: how many single observations to time.

A stateful policy also runs step by step over the arrays `sequence:<input>` (time, batch, ...): the artifact's own memory, or
else `initial:<state>`, is the first value of that input, the output `next_<state>` the following ones; where `reset` (time,
batch) is true it starts again.

Writes `outputs.npz` (`flat:<output>`: the batches one after the other; `sequence:<output>`) and `result.json`.
"""

import functools
import json
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Prepare = Callable[[Arrays], Callable[[], Arrays]]


def run_slices(prepare: Prepare, flat: Arrays, slices: list[list[int]]) -> dict[str, Any]:
    parts = [prepare({name: x[start:stop] for name, x in flat.items()})() for start, stop in slices]
    return {f"flat:{name}": np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}


def start_of(own: Arrays, given: Arrays) -> Arrays:
    """The artifact's own memory at the start, for each environment; the given one where it tells none."""
    return {name: np.broadcast_to(own.get(name, first), first.shape) for name, first in given.items()}


def run_sequence(prepare: Prepare, sequence: Arrays, initial: Arrays, reset: np.ndarray) -> dict[str, Any]:
    steps, state = [], dict(initial)
    for t in range(len(reset)):
        for name, first in initial.items():
            at = reset[t].reshape((-1,) + (1,) * (first.ndim - 1))
            state[name] = np.where(at, first, state[name])
        steps.append(prepare({**{name: x[t] for name, x in sequence.items()}, **state})())
        state = {name: steps[-1][f"next_{name}"] for name in initial}
    return {f"sequence:{name}": np.stack([step[name] for step in steps]) for name in (steps[0] if steps else ())}


def median_seconds(prepare: Prepare, inputs: Arrays, count: int) -> float | None:
    call = prepare(inputs)
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2] if times else None


def main() -> None:
    open_model = runpy.run_path(sys.argv[1])["open_model"]
    folder = Path(sys.stdin.readline().rstrip("\n"))
    job = json.loads((folder / "job.json").read_text())
    with np.load(folder / "inputs.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}

    def group(prefix: str) -> dict[str, Any]:
        return {name.removeprefix(prefix): x for name, x in arrays.items() if name.startswith(prefix)}

    opened = open_model(job["model"], folder)
    prepare, flat = opened.pop("prepare"), group("flat:")
    measure = opened.pop("seconds", functools.partial(median_seconds, prepare))
    outputs = run_slices(prepare, flat, job["slices"])
    own = opened.pop("initial", {})
    if "reset" in arrays:
        initial = start_of(own, group("initial:"))
        outputs |= run_sequence(prepare, group("sequence:"), initial, arrays["reset"])
    opened["seconds"] = measure({name: x[:1] for name, x in flat.items()}, job["timing"])
    np.savez(folder / "outputs.npz", **outputs)
    (folder / "result.json").write_text(json.dumps(opened))


if __name__ == "__main__":
    main()
