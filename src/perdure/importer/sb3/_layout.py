"""Where each number of an observation lies: in the file's order and layout, and in ours.

Ours has the keys of a Dict sorted, flat numbers before what comes out of convolutions, and images as the environment
gives them; the file has the keys in their own order and images channel first.
"""

from typing import NamedTuple

import numpy as np

from perdure._core import FileFormatError
from perdure.policy import FixedNormalizer
from perdure.space import AbstractSpace, Box, Dict

from .._normalizer import UNBOUNDED, fixed_normalizer
from ._spaces import SavedSpace
from ._vecnormalize import ObservationNormalization


class Part(NamedTuple):
    """One key of the observation, or all of it."""

    name: str
    saved: AbstractSpace
    space: AbstractSpace  # ours
    is_image: bool  # uint8 from 0 to 255 with three dimensions: what is divided by 255
    is_transposed: bool  # ours has the channels last, the file first

    @property
    def order(self) -> np.ndarray:
        """For each of our flat numbers, its place in the file's flattening."""
        positions = np.arange(self.saved.flat_size)
        if not (self.is_transposed and isinstance(self.saved, Box)):
            return positions
        return np.moveaxis(positions.reshape(self.saved.shape), 0, -1).ravel()


def channels_are_first(shape: tuple[int, ...]) -> bool:
    """As SB3 guesses it: the smallest dimension is the first (common/preprocessing.py)."""
    return int(np.argmin(shape)) == 0


def parts_of(saved: SavedSpace, channels_first: bool, convolved: bool) -> list[Part]:
    """The parts in the file's order. SB3's convolutions take every image as channel first, whatever its shape.

    SB3 never transposes a Box of three dimensions that is no image, so neither do we.
    """
    parts = []
    for name, space in saved.parts:
        is_image = isinstance(space, Box) and space.is_image
        transposed = False
        ours = space
        if isinstance(space, Box) and is_image and not channels_first:
            transposed = convolved or channels_are_first(space.shape)
            ours = Box(0, 255, (*space.shape[1:], space.shape[0]), np.uint8) if transposed else space
        parts.append(Part(name, space, ours, is_image, transposed))
    return parts


def space_of(parts: list[Part], is_dict: bool) -> AbstractSpace:
    return Dict({part.name: part.space for part in parts}) if is_dict else parts[0].space


def in_our_order(parts: list[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: part.name)


def normalizer_of(
    normalization: ObservationNormalization | None, flat: list[Part], pixel_scale: float = 255.0
) -> FixedNormalizer | None:
    """For these parts one after the other; constants are derived in float64.

    Ours divides an image by `pixel_scale` before it is normalised, SB3 after; so its statistics are divided as well.

    Raises: FileFormatError if the statistics have another shape than the observation.
    """
    if normalization is None or not flat:
        return None
    means, deviations, limits = [], [], []
    for part in flat:
        size, statistics = part.space.flat_size, normalization.statistics.get(part.name)
        if statistics is None:
            means.append(np.zeros(size))
            deviations.append(np.ones(size))
            limits.append(np.full(size, UNBOUNDED))
            continue
        scale = pixel_scale if part.is_image else 1.0
        means.append(_in_our_layout(statistics.mean, part) / scale)
        deviations.append(np.sqrt(_in_our_layout(statistics.variance, part) + normalization.epsilon))
        limits.append(np.full(size, normalization.clip / scale))
    return fixed_normalizer(*map(np.concatenate, (means, deviations, limits)))


def _in_our_layout(statistics: np.ndarray, part: Part) -> np.ndarray:
    """The statistics of a part, flat. They are of what the environment gives, so images are in our layout already."""
    shapes = [getattr(part.space, "shape", ()), getattr(part.saved, "shape", ())]
    if statistics.shape == shapes[0]:
        return statistics.ravel()
    if statistics.shape == shapes[1]:
        return statistics.ravel()[part.order]
    where = f" for {part.name!r}" if part.name else ""
    raise FileFormatError(
        f"VecNormalize has statistics of shape {list(statistics.shape)}{where}, but the observation is {part.space}. "
        "Is it the file of another model?"
    )
