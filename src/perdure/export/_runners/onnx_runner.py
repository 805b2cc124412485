"""Runs an ONNX policy in onnxruntime: started as `python onnx_runner.py`, needs numpy and onnxruntime only.

Reads the path of a job folder from standard input. `job.json` there holds

- `model`: path of the model;
- `slices`: [start, stop] rows of the arrays `flat:<input>` of `inputs.npz`, each run as one batch;
- `timing`: how many single observations to time.

A stateful policy also runs step by step over the arrays `sequence:<input>` (time, batch, ...): each `initial:<state>`
is the first value of that input, the output `next_<state>` the following ones; where `reset` (time, batch) is true it
starts again.

Writes `outputs.npz` (`flat:<output>`: the batches one after the other; `sequence:<output>`) and `result.json`.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


def run_slices(run: Any, flat: Any, slices: Any) -> dict[str, Any]:
    parts = [run({name: x[start:stop] for name, x in flat.items()}) for start, stop in slices]
    return {f"flat:{name}": np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}


def run_sequence(run: Any, sequence: Any, initial: Any, reset: Any) -> dict[str, Any]:
    steps, state = [], dict(initial)
    for t in range(len(reset)):
        for name, first in initial.items():
            at = reset[t].reshape((-1,) + (1,) * (first.ndim - 1))
            state[name] = np.where(at, first, state[name])
        steps.append(run({**{name: x[t] for name, x in sequence.items()}, **state}))
        state = {name: steps[-1][f"next_{name}"] for name in initial}
    return {f"sequence:{name}": np.stack([step[name] for step in steps]) for name in (steps[0] if steps else ())}


def median_seconds(run: Any, flat: Any, count: int) -> float | None:
    one = {name: x[:1] for name, x in flat.items()}
    times = []
    for _ in range(count):
        start = time.perf_counter()
        run(one)
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2] if times else None


def main() -> None:
    folder = Path(sys.stdin.readline().rstrip("\n"))
    job = json.loads((folder / "job.json").read_text())
    with np.load(folder / "inputs.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}

    def group(prefix: str) -> dict[str, Any]:
        return {name.removeprefix(prefix): x for name, x in arrays.items() if name.startswith(prefix)}

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    wanted = {i.name for i in session.get_inputs()}

    def run(inputs: dict[str, Any]) -> dict[str, Any]:
        return dict(zip(names, session.run(names, {k: v for k, v in inputs.items() if k in wanted}), strict=True))

    flat = group("flat:")
    outputs = run_slices(run, flat, job["slices"])
    if "reset" in arrays:
        outputs |= run_sequence(run, group("sequence:"), group("initial:"), arrays["reset"])
    seconds = median_seconds(run, flat, job["timing"])
    np.savez(folder / "outputs.npz", **outputs)
    result = {"runtime": "onnxruntime", "version": onnxruntime.__version__, "seconds": seconds}
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
