"""A user's value as arrays of a space, where nothing of it is lost on the way."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import PyTree

from ._base import AbstractSpace
from ._box import Box
from ._composite import Dict, Tuple
from ._discrete import Discrete, MultiBinary, MultiDiscrete


def exact_value(space: AbstractSpace, value: PyTree, name: str = "observation") -> PyTree:
    """`value`, or a batch with leading axes, as a tree of numpy arrays with the dtypes of the space.

    Floating-point numbers are rounded to the precision of the space, and may lie beyond the bounds of a Box. Shapes are not
    looked at.

    Raises: ValueError naming the entry, for a number that is not finite, that the dtype does not hold (0.5 or 300 in a
    uint8 image), or that is none of the choices; for a missing or unknown key of a Dict; for what is no number.
    """
    match space:
        case Dict():
            if not isinstance(value, Mapping):
                raise ValueError(
                    f"{name} is {type(value).__name__}, but a dict of {', '.join(space.spaces)} is wanted."
                )
            if other := sorted(map(str, value.keys() ^ space.spaces.keys())):
                told = "lacks" if other[0] in space.spaces else "has an unknown"
                raise ValueError(f"{name} {told} {other[0]!r}; it must have {', '.join(space.spaces)}.")
            return {key: exact_value(member, value[key], f"{name}[{key!r}]") for key, member in space.items}
        case Tuple():
            if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != len(space.spaces):
                raise ValueError(f"{name} is {type(value).__name__}, but a tuple of {len(space.spaces)} is wanted.")
            parts = enumerate(zip(space.spaces, value, strict=True))
            return tuple(exact_value(member, part, f"{name}[{i}]") for i, (member, part) in parts)
    return exact_array(space, value, name)


def exact_array(space: AbstractSpace, value: object, name: str) -> np.ndarray:
    given, dtype = np.asarray(value), np.dtype(getattr(space, "dtype", np.float32))
    if given.dtype.kind == "V":  # bfloat16 and its kin, which numpy does not know
        given = given.astype(np.float32)
    if given.dtype.kind not in "biuf":
        raise ValueError(f"{name} is of dtype {given.dtype}, but numbers of {space} are wanted.")
    refuse(~np.isfinite(given), given, name, "every number must be finite. Look at what measured it.")
    with np.errstate(invalid="ignore", over="ignore"):
        array = given.astype(dtype)
    lost = ~np.isfinite(array) if dtype.kind == "f" else array != given
    image = " Pixels are whole numbers from 0 to 255: multiply by 255 and round." if is_image_like(space, given) else ""
    refuse(lost, given, name, f"{space} holds {dtype} numbers, which this is not.{image}")
    refuse(outside(space, array), given, name, f"it is no choice of {space}.")
    return array


def is_image_like(space: AbstractSpace, given: np.ndarray) -> bool:
    return isinstance(space, Box) and space.is_image and given.dtype.kind == "f"


def outside(space: AbstractSpace, array: np.ndarray) -> np.ndarray | np.bool_:
    """True where an entry is none of the choices of a space that has some."""
    match space:
        case Discrete():
            return (array < space.start) | (array >= space.start + space.n)
        case MultiDiscrete() if array.shape[-1:] == space.shape:
            start = np.asarray(space.start)
            return (array < start) | (array >= start + space.nvec)
        case MultiBinary():
            return (array != 0) & (array != 1)
    return np.zeros(array.shape, bool)


def refuse(bad: np.ndarray | np.bool_, given: np.ndarray, name: str, why: str) -> None:
    """Raises: ValueError for the first entry that is bad."""
    if np.any(bad):
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"{name}{list(at) if at else ''} = {given[at]}, but {why}")
