"""Statistics of `VecNormalize`, from the pickle that `VecNormalize.save` writes.

    clip((observation - mean) / sqrt(var + epsilon), -clip_obs, clip_obs)

Source: stable_baselines3/common/vec_env/vec_normalize.py of SB3 2.9; `norm_obs_keys` is missing before 1.2, which means
all keys.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from perdure._core import FileFormatError, read_bytes

from .._normalizer import UNBOUNDED
from .._pickle import Call, Node, read_pickle
from .._report import naming
from .._values import array_of, brief, mapping_of, name_of, number_of, texts_of
from ._spaces import SavedSpace, read_space

CLASS = "stable_baselines3.common.vec_env.vec_normalize.VecNormalize"
MAX_BYTES = 2**28
_LARGEST = float(np.finfo(np.float64).max)
_STATISTICS = "stable_baselines3.common.running_mean_std.RunningMeanStd"


class Statistics(NamedTuple):
    """Of one part of the observation, in float64 and in its shape."""

    mean: np.ndarray
    variance: np.ndarray


class ObservationNormalization(NamedTuple):
    space: SavedSpace
    statistics: dict[str, Statistics]  # by key; "" for a space without keys; keys left out are not normalised
    clip: float
    epsilon: float


def _statistics(node: Node, where: str) -> Statistics:
    if not isinstance(node, Call) or name_of(node) != _STATISTICS:
        raise FileFormatError(f"{where} is of the class {name_of(node)[:120]!r}, not {_STATISTICS}.")
    state = mapping_of(node.state)
    mean, variance = (array_of(state.get(name)).astype(np.float64) for name in ("mean", "var"))
    if mean.shape != variance.shape or not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        raise FileFormatError(f"{where}: mean {list(mean.shape)} and variance {list(variance.shape)} do not agree.")
    if (variance < 0).any():
        raise FileFormatError(f"{where}: a variance is {variance.min()}.")
    return Statistics(mean, variance)


def _is_on(state: Mapping[str, Node]) -> bool:
    return bool(number_of(state.get("norm_obs", True)))


def _positive(state: Mapping[str, Node], name: str, most: float) -> float:
    """Raises: FileFormatError unless it is a number above 0 and at most `most`."""
    value = number_of(state.get(name))
    if not 0 < value <= most:
        raise FileFormatError(f"{name} is {brief(value)}, but it has to be above 0. Is the file damaged?")
    return float(value)


def _read(node: Node, known: set[str]) -> ObservationNormalization:
    if not isinstance(node, Call) or name_of(node) not in known:
        raise FileFormatError(
            f"holds a {name_of(node)[:120]!r}, not a VecNormalize. If it is a subclass that normalises alike, "
            f"say so: custom={{{name_of(node)[:120]!r}: {CLASS!r}}}."
        )
    state = mapping_of(node.state)
    if not _is_on(state):
        raise FileFormatError(
            "norm_obs is False: it did not normalise observations, and the policy has no use for it. Leave out vecnormalize=."
        )
    space = read_space(state.get("observation_space"), "observation_space")
    root, keys = state.get("obs_rms"), state.get("norm_obs_keys")
    if space.is_dict:
        by_key = mapping_of(root)
        wanted = [name for name, _ in space.parts] if keys is None else texts_of(keys)
        if absent := [name for name in wanted if name not in by_key]:
            raise FileFormatError(f"has no statistics for the key {absent[0][:80]!r}.")
        statistics = {name: _statistics(by_key[name], f"obs_rms[{name!r}]") for name in wanted}
    else:
        statistics = {"": _statistics(root, "obs_rms")}
    clip, epsilon = _positive(state, "clip_obs", math.inf), _positive(state, "epsilon", _LARGEST)
    return ObservationNormalization(space, statistics, min(clip, UNBOUNDED), epsilon)


def normalizes_observations(path: Path) -> bool:
    """False if a file is a VecNormalize that leaves observations as they are; what it is if it cannot be read, nobody knows."""
    try:
        node = read_pickle(read_bytes(path, most=MAX_BYTES))
        return not isinstance(node, Call) or name_of(node) != CLASS or _is_on(mapping_of(node.state))
    except (FileFormatError, OSError):
        return True


def read_vecnormalize(path: str | Path, same: tuple[str, ...] = ()) -> ObservationNormalization:
    """How observations are normalised.

    `same` are names of classes that do what VecNormalize does.

    Raises: FileFormatError naming the file, for statistics that normalise no observation too; FileNotFoundError naming the path
    that was tried.
    """
    with naming(path):
        return _read(read_pickle(read_bytes(Path(path))), {CLASS, *same})
