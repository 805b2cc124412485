"""Golden rows: inputs with the policy's answers, for `verify`, and fewer of them for the programs beside an export."""

import numpy as np

from perdure._core import ExportError
from perdure.export.program import Program

from ._proof import Case, Expected
from ._tolerance import Arrays

GOLDEN_BYTES = 256 * 1024  # rows are chosen so that the inputs stay about below this
GOLDEN_ROWS = 64
SAFE_ERROR = 2e-6  # golden rows are far from the limit, so that another machine reproduces them
MAX_BYTES = 64 * 1024  # of inputs in source code
MAX_ROWS = 16


def choose_golden(case: Case, want: Expected, errors: np.ndarray) -> Arrays:
    """A few inputs with the policy's answers: rows far from any limit, some broken ones, and the sequences."""
    row_bytes = max(1, sum(x[:1].nbytes for x in case.rows.values()))
    count = int(np.clip(GOLDEN_BYTES // row_bytes, 4, GOLDEN_ROWS))
    safe = np.flatnonzero((errors <= SAFE_ERROR) & ~want.ties)[:count]
    if not len(safe):  # every row is near a limit: those that differ least
        safe = np.argsort(errors)[:count][np.isfinite(np.sort(errors)[:count])]
    if not len(safe):
        raise ExportError(
            "Every observation is excused as a tie, so nothing of the policy is proven. Give observations=, or look for "
            "decisions that only rounding makes."
        )
    arrays = {f"input:{k}": x[: case.num_good][safe] for k, x in case.rows.items()}
    arrays |= {f"output:{k}": x[safe] for k, x in want.good.items()}
    if want.broken:
        for k in case.rows:
            arrays[f"broken_input:{k}"] = case.broken[k][:count]
        for k, x in want.broken.items():
            arrays[f"broken_output:{k}"] = x[:count]
    if case.reset is not None and row_bytes * case.reset.size <= GOLDEN_BYTES:
        arrays["sequence_reset"] = case.reset
        arrays |= {f"sequence_input:{k}": x for k, x in case.sequence.items()}
        arrays |= {f"sequence_initial:{k}": x for k, x in case.initial.items()}
        arrays |= {f"sequence_output:{k}": x for k, x in want.sequence.items()}
    return arrays


def golden_rows(program: Program, golden: Arrays) -> tuple[Arrays, Arrays, int]:
    """Inputs and outputs by port, some good rows and then some broken ones, and the number of the latter."""
    row_bytes = sum(x[:1].nbytes for k, x in golden.items() if k.startswith("input:"))
    limit = int(np.clip(MAX_BYTES // max(row_bytes, 1), 2, MAX_ROWS))
    num_broken = 0

    def rows(side: str, name: str) -> np.ndarray:
        nonlocal num_broken
        parts = [golden[f"{side}:{name}"][:limit]]
        if (broken := golden.get(f"broken_{side}:{name}")) is not None:
            parts.append(broken[: limit // 2])
            num_broken = len(parts[-1])
        return np.concatenate(parts)

    sign = program.signature
    inputs = {port.name: rows("input", port.name) for port in sign.inputs}
    return inputs, {port.name: rows("output", port.name) for port in sign.outputs}, num_broken
