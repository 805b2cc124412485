"""What an environment gives, as what its spaces say: no number changes on the way without a word, no choice is none of them.

64-bit floats are rounded to float32, as everywhere around Gymnasium.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, PyTree

from perdure._core import NonFiniteError
from perdure.space import AbstractSpace, Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple


def as_given(space: AbstractSpace, theirs: Any, value: Any, where: str = "") -> Any:
    """An observation of one environment in the dtypes of Gymnasium's space.

    Raises: as `as_dtype`.
    """
    match space:
        case Dict():
            return {name: as_given(part, theirs[name], value[name], f"{where}[{name!r}]") for name, part in space.items}
        case Tuple():
            parts = enumerate(zip(space.spaces, theirs.spaces, value, strict=True))
            return tuple(as_given(*part, f"{where}[{i}]") for i, part in parts)
    if getattr(value, "dtype", None) == theirs.dtype or (type(value) is int and isinstance(space, Discrete)):
        return value
    return as_dtype(value, theirs.dtype, f"an observation{where}")


def as_tree(space: AbstractSpace, value: Any, where: str = "the observation") -> PyTree:
    """A value (or a batch of them) of Gymnasium as a tree of numpy arrays with the dtypes of our space.

    Raises: as `as_dtype`; ValueError for a choice or a bit that is none of the space's.
    """
    match space:
        case Dict():
            return {name: as_tree(member, value[name], f"{where}[{name!r}]") for name, member in space.items}
        case Tuple():
            parts = enumerate(zip(space.spaces, value, strict=True))
            return tuple(as_tree(member, part, f"{where}[{i}]") for i, (member, part) in parts)
        case Box():
            return as_dtype(value, space.dtype, where)
        case Discrete():
            return choices(value, space.start, space.n, np.int32, where)
        case MultiDiscrete():
            start, n = np.asarray(space.start), np.asarray(space.nvec)
            return choices(value, start, n, np.int32, where)
        case MultiBinary():
            return choices(value, 0, 2, np.int8, where)
    raise TypeError(f"{type(space).__name__} is no space of numbers.")


def as_dtype(value: Any, dtype: np.dtype, where: str) -> np.ndarray:
    """A value as an array of a dtype that holds it: exactly, or rounded where it is a float.

    Raises: ValueError naming a number that is another in this dtype; NonFiniteError (a ValueError) for one beyond its range.
    """
    given = np.asarray(value)
    if given.dtype == dtype:
        return given
    with np.errstate(all="ignore"):
        array = given.astype(dtype)
        if dtype.kind == "f":
            changed = ~np.isfinite(array) & (given.dtype.kind in "fiu")
            changed = changed & np.isfinite(given) if changed.any() else changed
        else:
            changed = array != given
    if np.any(changed):
        at = tuple(int(i) for i in np.argwhere(changed)[0])
        error = NonFiniteError if dtype.kind == "f" else ValueError
        raise error(
            f"{where}{list(at) if at else ''} is {given[at]}, which {dtype.name} does not hold, the dtype of the observation "
            "space. Give the space the dtype of what the environment gives, or scale and round that in the environment."
        )
    return array


def choices(value: Any, start: Any, n: Any, dtype: type[np.integer], where: str) -> np.ndarray:
    """Choices, or bits. Raises: ValueError for one that is not from `start` to `start + n - 1`, or no whole number."""
    given = np.asarray(value)
    array = given if given.dtype.kind in "iu" else as_dtype(given, np.dtype(dtype), where)
    outside = (array < start) | (array >= start + n)
    if outside.any():
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        low, high = (np.broadcast_to(end, array.shape)[at] for end in (start, start + n - 1))
        raise ValueError(
            f"{where}{list(at) if at else ''} is {array[at]}, but the observation space has {low} to {high}. "
            "Correct the environment, or its space."
        )
    return array.astype(dtype, copy=False)


def masks_in(
    info: dict, space: AbstractSpace, wanted: Bool[np.ndarray, " num_envs"]
) -> Bool[np.ndarray, "num_envs choices"] | None:
    """The action masks that a vector environment tells, or None.

    Raises: ValueError if they do not fit the action space, or one of the `wanted` ones is not among them.
    """
    num_envs = len(wanted)
    told = info.get("action_mask")
    if told is None:
        return None
    mask = np.asarray(told)
    mask = mask if mask.dtype != object else np.stack(list(mask))
    if mask.shape != (num_envs, space.mask_size):
        raise ValueError(
            f"info['action_mask'] has shape {mask.shape}, but {num_envs} environments with {type(space).__name__} actions have "
            f"{(num_envs, space.mask_size)}: one flag for each choice, True where it is legal."
        )
    lacking = wanted & ~np.asarray(info.get("_action_mask", wanted))
    if lacking.any():
        raise ValueError(
            f"environment {int(lacking.argmax())} tells no action mask, but others do. Tell one at every reset and step."
        )
    return mask != 0


def check_legal(mask: Bool[np.ndarray, "num_envs choices"] | None, acting: Bool[np.ndarray, " num_envs"]) -> None:
    """Raises: ValueError if one of the environments that are to act has no legal action."""
    if mask is not None and (barred := acting & ~mask.any(1)).any():
        raise ValueError(
            f"the action mask of environment {int(barred.argmax())} bars every action. End the episode where none is legal."
        )
