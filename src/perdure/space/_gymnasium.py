"""Spaces to and from Gymnasium's (extra `gym`)."""

from typing import Any

import numpy as np

from perdure._core import import_extra

from ._base import AbstractSpace
from ._box import Box
from ._composite import Dict, Tuple
from ._discrete import Discrete, MultiBinary, MultiDiscrete


def from_gymnasium(space: Any) -> AbstractSpace:
    """Our space for a Gymnasium one. 64-bit dtypes are narrowed to 32 bits, as JAX does.

    Raises: TypeError for a kind of space without a counterpart here, ValueError for a MultiDiscrete that is no vector.
    """
    spaces = import_extra("gymnasium", "gym").spaces
    match space:
        case spaces.Box():
            return Box(space.low, space.high, space.shape, space.dtype)
        case spaces.Discrete():
            return Discrete(int(space.n), int(space.start))
        case spaces.MultiDiscrete():
            if space.nvec.ndim != 1:
                raise ValueError(
                    f"MultiDiscrete.nvec has shape {space.nvec.shape}, but only vectors are supported. "
                    "Flatten it with gymnasium.wrappers.TransformAction or TransformObservation."
                )
            return MultiDiscrete(tuple(space.nvec.tolist()), tuple(space.start.tolist()))
        case spaces.MultiBinary():
            return MultiBinary(space.shape)
        case spaces.Dict():
            return Dict({name: from_gymnasium(member) for name, member in space.spaces.items()})
        case spaces.Tuple():
            return Tuple(tuple(from_gymnasium(member) for member in space.spaces))
    raise TypeError(
        f"Gymnasium space {type(space).__name__} has no counterpart in perdure.space. "
        "Supported: Box, Discrete, MultiDiscrete, MultiBinary, Dict, Tuple."
    )


def to_gymnasium(space: AbstractSpace) -> Any:
    """Gymnasium's space for one of ours, with Gymnasium's own default dtypes for choices (int64, int8 for bits)."""
    spaces = import_extra("gymnasium", "gym").spaces
    match space:
        case Box():
            return spaces.Box(space.low, space.high, space.shape, space.dtype.type)
        case Discrete():
            return spaces.Discrete(space.n, start=space.start)
        case MultiDiscrete():
            return spaces.MultiDiscrete(np.asarray(space.nvec), start=np.asarray(space.start))
        case MultiBinary():
            return spaces.MultiBinary(space.shape)
        case Dict():
            return spaces.Dict({name: to_gymnasium(member) for name, member in space.items})
        case Tuple():
            return spaces.Tuple([to_gymnasium(member) for member in space.spaces])
    raise TypeError(f"{type(space).__name__} is not a Perdure space.")
