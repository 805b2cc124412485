"""Golden rows: inputs with the policy's answers, for `verify`, and fewer of them for the programs beside an export."""

import itertools

import numpy as np

from perdure._core import ExportError
from perdure.export.program import Program

from ._observations import BOUNDARY, SAMPLED, SEARCHED
from ._proof import Case, Expected
from ._ties import is_firm
from ._tolerance import TOLERANCE, Arrays

GOLDEN_BYTES = 256 * 1024  # rows are chosen so that the inputs stay about below this
GOLDEN_ROWS = 64
MAX_ASKED = 32  # rows near a decision that are followed: whether its numbers are exact
SAFE_ERROR = 2e-6  # golden rows are far from the limit, so that another machine reproduces them
MAX_BYTES = 64 * 1024  # of inputs in source code
MAX_ROWS = 16


def choose_golden(program: Program, case: Case, want: Expected, errors: np.ndarray, steps: np.ndarray) -> Arrays:
    """A few inputs with the policy's answers: rows far from any limit, some broken ones, and the sequences.

    `errors` are those of the good rows, `steps` (time, batch) those of the sequences, each the worst of all targets.
    """
    row_bytes = max(1, sum(x[:1].nbytes for x in case.rows.values()))
    count = int(np.clip(GOLDEN_BYTES // row_bytes, 4, GOLDEN_ROWS))
    chosen = choose_rows(program, case, want, errors, count)
    arrays = {f"input:{k}": x[: case.num_good][chosen] for k, x in case.rows.items()}
    arrays |= {f"output:{k}": x[chosen] for k, x in want.good.items()}
    if want.broken:
        for k in case.rows:
            arrays[f"broken_input:{k}"] = case.broken[k][:count]
        for k, x in want.broken.items():
            arrays[f"broken_output:{k}"] = x[:count]
    if case.reset is not None and row_bytes * case.reset.size <= GOLDEN_BYTES:
        arrays |= choose_sequences(case, want, steps)
    return arrays


def choose_rows(program: Program, case: Case, want: Expected, errors: np.ndarray, count: int) -> np.ndarray:
    """Positions of good rows that another machine reproduces, those that are worth most first.

    Raises: ExportError where there is none.
    """
    safe = (errors <= SAFE_ERROR) & ~want.ties
    tied = np.flatnonzero((errors <= SAFE_ERROR) & want.ties)[:MAX_ASKED]
    exact = (k for k in tied if is_firm_row(program, case, k))  # asked one by one: it takes a while
    kinds = [exact, *(np.flatnonzero(safe & (case.kinds == kind)) for kind in (BOUNDARY, SEARCHED))]
    rest = np.flatnonzero(safe & (case.kinds == SAMPLED))
    chosen = [int(k) for kind in kinds for k in itertools.islice(kind, max(count // 4, 1))]
    chosen = [*chosen, *(int(k) for k in rest if k not in chosen)][:count]
    if not chosen:  # every row is near a limit: those that differ least
        chosen = [int(k) for k in np.argsort(errors, kind="stable")[:count] if np.isfinite(errors[k])]
    if not chosen:
        raise ExportError(
            "Every observation differs where float32 rounding alone moves the policy, so nothing of it is proven. Give "
            "observations=, or look for decisions that only rounding makes."
        )
    return np.array(chosen)


def is_firm_row(program: Program, case: Case, k: int) -> bool:
    return is_firm(program.plain, {port.name: case.rows[port.name][k : k + 1] for port in program.signature.inputs})


def choose_sequences(case: Case, want: Expected, steps: np.ndarray) -> Arrays:
    """The sequences, or as many of their first steps as stay equal where each goes on from its own memory.

    Raises: ExportError where no first step is.
    """
    assert case.reset is not None
    lasting = np.logical_and.accumulate(steps <= TOLERANCE / 2, 0).sum(0)
    length = max(np.unique(lasting), key=lambda time: time * (lasting >= time).sum())
    kept = np.flatnonzero(lasting >= length)
    if not length:
        raise ExportError("No sequence has a first step that float32 rounding leaves alone. Give observations=.")
    arrays = {"sequence_reset": case.reset[:length, kept]}
    arrays |= {f"sequence_input:{k}": x[:length, kept] for k, x in case.sequence.items()}
    arrays |= {f"sequence_initial:{k}": x[kept] for k, x in case.initial.items()}
    return arrays | {f"sequence_output:{k}": x[:length, kept] for k, x in want.sequence.items()}


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
