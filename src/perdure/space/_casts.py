"""Casts that lose nothing: what a space would have to change is refused, not changed."""

import jax
import numpy as np
from jaxtyping import ArrayLike


def whole(where: str, value: object) -> int:
    """`value` as an int.

    Raises: ValueError naming it if it has a fraction or is no number.
    """
    number = np.asarray(value)
    if number.shape != () or number.dtype.kind not in "iuf" or number != np.trunc(number) or not np.isfinite(number):
        raise ValueError(f"{where} = {value!r}, but it has to be a whole number.")
    return int(number)


def plain(value: object) -> np.ndarray:
    """`value` as an array; one of objects where it has no shape, as of lists of several lengths."""
    try:
        return np.asarray(value)
    except ValueError:
        return np.empty((), object)


def held(where: str, value: ArrayLike, low: ArrayLike, high: ArrayLike) -> ArrayLike:
    """`value` as integers, checked to be whole and between two bounds, where it is known: not within `jax.jit`.

    Raises: ValueError naming the first that is not.
    """
    if isinstance(value, jax.core.Tracer):
        return value
    array = np.asarray(value)
    with np.errstate(invalid="ignore"):  # NaN is not its own integer
        fits = (low <= array) & (array <= high) & (array == np.trunc(array) if array.dtype.kind == "f" else True)
    if not np.all(fits):
        lost = array[~np.broadcast_to(fits, array.shape)].flat[0] if array.ndim else array[()]
        raise ValueError(
            f"{where} is given {lost}, but takes whole numbers from {np.min(low)} to {np.max(high)}. Give it as "
            "the space has it: nothing is rounded."
        )
    return array.astype(np.int64) if array.dtype.kind == "f" else value
