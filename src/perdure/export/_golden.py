"""The golden rows that the programs beside an export hold: few enough for source code."""

import numpy as np

from ._program import Program
from ._tolerance import Arrays

MAX_BYTES = 64 * 1024  # of inputs
MAX_ROWS = 16


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
