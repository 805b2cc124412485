"""The golden file: inputs with the policy's answers; what it must hold, what is asked of a runtime and what must come back."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from perdure._core import FileFormatError
from perdure.export.program import Port, next_name
from perdure.export.proof import Arrays, Job


@dataclasses.dataclass(frozen=True)
class Rows:
    """How many rows a golden file has: good ones, broken ones, and steps of sequences."""

    good: int
    broken: int
    steps: int


def golden_bytes(arrays: Arrays) -> bytes:
    return bytes(save({k: np.array(v, order="C", copy=True) for k, v in arrays.items()}))


def load_golden(data: bytes, name: str) -> Arrays:
    """Raises: FileFormatError that names the file for what is no safetensors."""
    try:
        return dict(load(data))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{name} is no safetensors file of arrays. Export the policy again.") from error


def length_of(arrays: Arrays, prefix: str) -> int:
    first = next(iter(group(arrays, prefix).values()), None)
    return len(first) if first is not None and first.ndim else 0


def count_rows(arrays: Arrays) -> Rows:
    reset = arrays.get("sequence_reset")
    return Rows(length_of(arrays, "input:"), length_of(arrays, "broken_input:"), 0 if reset is None else reset.size)


def wanted_arrays(
    inputs: Sequence[Port], outputs: Sequence[Port], arrays: Arrays
) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and dtype of every array of a golden file of these ports, whose first arrays say how many rows there are."""
    rows, wanted = count_rows(arrays), dict[str, tuple[tuple[int, ...], np.dtype]]()
    for prefix, count in (("", rows.good), ("broken_", rows.broken)):
        for side, ports in (("input", inputs), ("output", outputs)):
            if count or not prefix:
                wanted |= {f"{prefix}{side}:{p.name}": ((count, *p.shape), p.dtype) for p in ports}
    if (reset := arrays.get("sequence_reset")) is not None:
        lead = reset.shape if reset.ndim == 2 else (0, 0)
        memory = {p.name for p in inputs if next_name(p.name) in {port.name for port in outputs}}
        wanted["sequence_reset"] = (lead, np.dtype(bool))
        wanted |= {f"sequence_input:{p.name}": ((*lead, *p.shape), p.dtype) for p in inputs if p.name not in memory}
        wanted |= {f"sequence_initial:{p.name}": ((lead[1], *p.shape), p.dtype) for p in inputs if p.name in memory}
        wanted |= {f"sequence_output:{p.name}": ((*lead, *p.shape), p.dtype) for p in outputs}
    return wanted


def check_golden(
    name: str, arrays: Arrays, inputs: Sequence[Port], outputs: Sequence[Port], rows: Rows | None, has_broken: bool
) -> None:
    """Nothing compared is nothing proven: each input and each output has its rows, as many as were recorded.

    `rows` are those of the manifest, None in one of before they were recorded; `has_broken` is what its proof says.

    Raises: FileFormatError that names file and array.
    """
    found = count_rows(arrays)
    if rows is not None and found != rows:
        raise FileFormatError(f"{name} has {found}, the manifest says {rows}. Export the policy again.")
    if not found.good:
        raise FileFormatError(f"{name} has no good rows, so nothing can be proven. Export the policy again.")
    if has_broken and not found.broken:
        raise FileFormatError(f"{name} has no broken rows, though the manifest says so. Export the policy again.")
    if "sequence_reset" in arrays and not found.steps:
        raise FileFormatError(f"{name} has sequences without a step. Export the policy again.")
    wanted = wanted_arrays(inputs, outputs, arrays)
    if unknown := sorted(set(arrays) - set(wanted)):
        raise FileFormatError(
            f"{name} has the array {unknown[0][:80]!r}, which is of no input or output. Export the policy again."
        )
    for key, (shape, dtype) in wanted.items():
        if key not in arrays:
            raise FileFormatError(f"{name} has no array {key[:80]!r}. Export the policy again.")
        if arrays[key].shape != shape or arrays[key].dtype != dtype:
            raise FileFormatError(
                f"{name}: {key[:80]!r} is {arrays[key].dtype}{list(arrays[key].shape)}, wanted {dtype}{list(shape)}. "
                "Export the policy again."
            )


def group(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): x for name, x in arrays.items() if name.startswith(prefix)}


def golden_job(arrays: Arrays) -> Job:
    good, broken = group(arrays, "input:"), group(arrays, "broken_input:")
    flat = {k: np.concatenate([x, broken[k]]) if k in broken else x for k, x in good.items()}
    total, num_good = len(next(iter(flat.values()))), len(next(iter(good.values())))
    slices = [(i, i + 1) for i in range(min(8, num_good))] + [(0, num_good)]
    if total > num_good:
        slices.append((num_good, total))
    return Job(
        flat, slices, group(arrays, "sequence_input:"), group(arrays, "sequence_initial:"), arrays.get("sequence_reset")
    )


def golden_answers(arrays: Arrays) -> Arrays:
    """What `golden_job` must give, in the order of its slices."""
    good, broken = group(arrays, "output:"), group(arrays, "broken_output:")
    want = {}
    for name, x in good.items():
        parts = [x[: min(8, len(x))], x, *([broken[name]] if name in broken else [])]
        want[f"output:{name}"] = np.concatenate(parts)
    return want | {k: x for k, x in arrays.items() if k.startswith("sequence_output:")}
