"""Settings that decide the shape of what stands before the heads of a policy: plain records, compared by value."""

import dataclasses
from typing import final

import jax
import jax.numpy as jnp

from perdure._core import register
from perdure.network import Activation, Initialization
from perdure.space import AbstractSpace, Box

from ._observation import is_image, plain_spaces
from ._spaces import HasSpaces, spaces_of


@register
@dataclasses.dataclass(frozen=True)
class Convolutions:
    """How an image becomes numbers: settings of `perdure.network.CNN`. The default is Mnih et al. 2015.

    Images are Boxes of uint8 from 0 to 255 with three dimensions; their pixels are scaled to [0, 1].
    """

    features: int = 512
    channels: tuple[int, ...] = (32, 64, 64)
    kernels: tuple[int, ...] = (8, 4, 3)
    strides: tuple[int, ...] = (4, 2, 1)
    activation: Activation = jax.nn.relu


@register
@final
@dataclasses.dataclass(frozen=True)
class UnscaledConvolutions(Convolutions):
    """The same for every Box of three dimensions, whose numbers are taken as they are: pixels that are scaled already."""


NATURE = Convolutions()


@register
@final
@dataclasses.dataclass(frozen=True)
class Memory:
    """A recurrent cell, or two of them side by side."""

    cell: str  # "gru", "lstm" or "liquid"
    size: int  # units; of a liquid cell inter and command neurons
    num_motor: int = 1  # of a liquid cell: motor neurons, which are its output
    sparsity: float = 0.5  # of a liquid cell: share of connections between layers that do not exist
    count: int = 1  # 2: the second half of the features belongs to the critic

    def __post_init__(self) -> None:
        if self.cell not in ("gru", "lstm", "liquid"):
            raise ValueError(f"cell={self.cell!r} is not known. Use 'gru', 'lstm' or 'liquid'.")


@register
@final
@dataclasses.dataclass(frozen=True)
class Architecture:
    """Everything that decides the shape of a `Body`, so that a critic can be given the same one with other weights."""

    convolutions: Convolutions | None = None  # for each image of the observation; None: pixels are flattened
    trunk_sizes: tuple[int, ...] = ()  # dense layers where all parts of the observation meet
    activation: Activation = jnp.tanh  # of the trunk
    memory: Memory | None = None
    normalize_observation: bool = False  # all but images that go through convolutions
    initialization: Initialization = "orthogonal"

    def convolves(self, space: AbstractSpace) -> bool:
        """True for what goes through convolutions."""
        if isinstance(self.convolutions, UnscaledConvolutions):
            return isinstance(space, Box) and len(space.shape) == 3
        return self.convolutions is not None and is_image(space)


def if_images(env: HasSpaces, convolutions: Convolutions | None) -> Convolutions | None:
    """`convolutions`, or None where the observation has no image."""
    return convolutions if any(map(is_image, plain_spaces(spaces_of(env)[0]))) else None


def check_gsde(gsde_interval: int | None) -> None:
    """Raises: ValueError if it is no number of steps."""
    if gsde_interval is not None and gsde_interval < 1:
        raise ValueError(
            f"gsde_interval={gsde_interval}, but it is a number of steps. Use 1 or more, or None for no gSDE."
        )
