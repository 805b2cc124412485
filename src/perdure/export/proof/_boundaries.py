"""Rows at the boundaries of a discrete policy: between two observations with other actions, as near as the halving goes.

There a small error of scale moves the action. Whole numbers of an observation end one apart; further halvings leave
more and more of their entries equal, down to one.
"""

import math
from collections.abc import Callable

import numpy as np

from perdure.export.program import Signature
from perdure.space import Box

from ._tolerance import Arrays

PAIRS = 256  # that are asked for; the reference answers as many at once
HALVINGS = 13  # 1/8192 of the way is left; nearer, rounding alone would decide
MAX_BYTES = 64 * 2**20  # of rows: fewer pairs of large images


def boundary_rows(sign: Signature, answer: Callable[[Arrays], Arrays], rows: Arrays, seed: int) -> Arrays:
    """Pairs of rows close together that the policy answers with other integers, both sides; none for a continuous one."""
    moving = [port.name for port in sign.inputs if isinstance(port.space, Box)]
    decided = [port.name for port in sign.outputs if port.dtype.kind != "f"]
    random = np.random.default_rng(seed + 2)
    count = len(next(iter(rows.values())))
    pairs = int(np.clip(MAX_BYTES // max(1, sum(x[:1].nbytes for x in rows.values())), 1, PAIRS))
    first, second = random.integers(0, count, (2, pairs))
    a = {name: x[first] for name, x in rows.items()}
    b = a | {name: rows[name][second] for name in moving}
    if not moving or not decided:
        return {name: x[:0] for name, x in rows.items()}
    answers = answer(a)
    of_first = {name: answers[name] for name in decided}
    is_pair = differs(of_first, answer(b))
    if not is_pair.any():
        return {name: x[:0] for name, x in rows.items()}
    a, b, of_first = ({name: x[is_pair] for name, x in side.items()} for side in (a, b, of_first))
    for _ in range(HALVINGS + of_entries(a, moving)):
        middle = a | {name: between(a[name], b[name], random) for name in moving}
        is_beyond = differs(of_first, answer(middle))
        a, b = pick(is_beyond, a, middle), pick(is_beyond, middle, b)
    return {name: np.concatenate([a[name], b[name]]) for name in rows}


def of_entries(rows: Arrays, names: list[str]) -> int:
    """How many halvings more leave one entry of whole numbers that differs."""
    return max((math.ceil(math.log2(max(rows[k][0].size, 1))) for k in names if rows[k].dtype.kind != "f"), default=0)


def differs(want: Arrays, got: Arrays) -> np.ndarray:
    """Row by row: whether one of the integers is another."""
    return np.any([(x != got[name]).reshape(len(x), -1).any(-1) for name, x in want.items()], axis=0)


def between(a: np.ndarray, b: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The middle; of whole numbers one next to it, by chance."""
    middle = (a.astype(np.float64) + b.astype(np.float64)) / 2
    return (middle if a.dtype.kind == "f" else np.floor(middle + random.choice((0.0, 0.5), a.shape))).astype(a.dtype)


def pick(where: np.ndarray, yes: Arrays, no: Arrays) -> Arrays:
    return {name: np.where(where.reshape(-1, *(1,) * (x.ndim - 1)), x, no[name]) for name, x in yes.items()}
