"""Where values live in the C function: arrays, strided views of them, and one workspace that they share by lifetime."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from perdure.graph import Shape

C_TYPES = {"float32": "float", "int32": "int32_t", "int8": "int8_t", "uint8": "uint8_t", "bool": "uint8_t"}
ARENAS = {"float": "f", "int32_t": "i", "int8_t": "c", "uint8_t": "u"}  # members of the workspace
ALIGNMENT = 16  # entries: a float array starts at a multiple of 64 bytes from the first one
NUMBERS_A_LINE = 8


def c_type(dtype: DTypeLike) -> str:
    return C_TYPES[str(np.dtype(dtype))]


@dataclasses.dataclass(eq=False)
class Buffer:
    """An array in C. One in the workspace has a place there, `at`, from the first step that uses it to the last."""

    name: str
    ctype: str
    size: int
    is_local: bool = False
    first: int = 0
    last: int = 0
    at: int = 0


@dataclasses.dataclass(eq=False, frozen=True)
class View:
    """A tensor in a buffer: entry (i, j, ...) is at `offset + i * strides[0] + j * strides[1] + ...`."""

    buffer: Buffer
    offset: int
    strides: tuple[int, ...]

    @property
    def pointer(self) -> str:
        return f"{self.buffer.name} + {self.offset}" if self.offset else self.buffer.name


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    strides, step = [], 1
    for d in reversed(shape):
        strides.append(step)
        step *= d
    return tuple(reversed(strides))


def is_row_major(view: View, shape: Shape) -> bool:
    return all(d == 1 or s == t for d, s, t in zip(shape, view.strides, row_major(shape), strict=True))


def literal(value: float | np.number | np.bool_, dtype: DTypeLike) -> str:
    """One number in C."""
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        number = int(value)
        return "(-2147483647 - 1)" if number == -(2**31) else f"({number})" if number < 0 else str(number)
    if np.isnan(value):
        return "NAN"
    if np.isinf(value):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    text = f"{np.float32(value)!s}f"
    return f"({text})" if text.startswith("-") else text


def numbers(value: np.ndarray) -> str:
    """The entries of an array in C, in lines. Nine digits tell every float32 from all others."""
    flat = value.ravel()
    if flat.dtype.kind == "f" and np.isfinite(flat).all():
        texts = ("%#.9gf " * flat.size % tuple(flat.tolist())).split()
    elif flat.dtype.kind == "i" and flat.dtype.itemsize == 1:
        texts = list(map(str, flat.tolist()))
    else:
        texts = [literal(v, flat.dtype) for v in flat]
    texts = texts or ["0"]  # C has no empty arrays
    rows = [", ".join(texts[i : i + NUMBERS_A_LINE]) for i in range(0, len(texts), NUMBERS_A_LINE)]
    return ",\n    ".join(rows)


def constant_array(name: str, value: np.ndarray) -> str:
    return f"static const {c_type(value.dtype)} {name}[{max(value.size, 1)}] = {{\n    {numbers(value)}\n}};"


def place(buffers: Sequence[Buffer]) -> dict[str, int]:
    """Give every buffer its place, biggest first, where no other one lives at the same time.

    Returns: the number of entries of each element type.
    """
    total: dict[str, int] = {}
    placed: list[Buffer] = []
    for buffer in sorted(buffers, key=lambda b: -b.size):
        rivals = [
            other
            for other in placed
            if other.ctype == buffer.ctype and other.first <= buffer.last and buffer.first <= other.last
        ]
        at = 0
        for rival in sorted(rivals, key=lambda b: b.at):
            if at + buffer.size <= rival.at:
                break
            at = max(at, -(-(rival.at + rival.size) // ALIGNMENT) * ALIGNMENT)
        buffer.at = at
        placed.append(buffer)
        total[buffer.ctype] = max(total.get(buffer.ctype, 0), at + max(buffer.size, 1))
    return total
