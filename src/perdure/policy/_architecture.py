"""Settings that decide the shape of what stands before the heads of a policy: plain records, compared by value."""

import dataclasses
from typing import TypeGuard, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from perdure._core import Instance, added, register, renamed
from perdure.network import (
    Activation,
    Initialization,
    check_circuit,
    check_convolutions,
    check_initialization,
    check_sizes,
)
from perdure.space import AbstractSpace, Box

from ._observation import is_image


@register(upgrades=[added(scale_pixels=True)])
@final
@dataclasses.dataclass(frozen=True)
class Convolutions:
    """How an image becomes numbers: settings of `perdure.network.CNN`. The default is Mnih et al. 2015.

    Images are Boxes of uint8 from 0 to 255 with three dimensions; their pixels are scaled to [0, 1]. Without `scale_pixels`
    every Box of three dimensions is one, whose numbers are taken as they are: pixels that are scaled already.
    """

    features: int = 512
    channels: tuple[int, ...] = (32, 64, 64)
    kernels: tuple[int, ...] = (8, 4, 3)
    strides: tuple[int, ...] = (4, 2, 1)
    activation: Activation = jax.nn.relu
    scale_pixels: bool = True

    def __post_init__(self) -> None:
        self.__check_init__()

    def __check_init__(self) -> None:  # also called for what comes from a file
        check_convolutions(self.channels, self.kernels, self.strides)
        check_sizes("features", (self.features,))

    def convolves(self, space: AbstractSpace) -> TypeGuard[Box]:
        """True for the images of an observation."""
        return is_image(space) if self.scale_pixels else isinstance(space, Box) and len(space.shape) == 3

    def scaled(self, image: Num[Array, "..."]) -> Float[Array, "..."]:
        return image / 255.0 if self.scale_pixels else image / 1.0


NATURE = Convolutions()


@register
@final
@dataclasses.dataclass(frozen=True)
class RecurrentCell:
    """What remembers in a body: a cell, or two of them side by side."""

    kind: str  # "gru", "lstm" or "liquid"
    size: int  # units; of a liquid cell inter and command neurons
    num_motor: int = 1  # of a liquid cell: motor neurons, which are its output
    sparsity: float = 0.5  # of a liquid cell: share of connections between layers that do not exist
    count: int = 1  # 2: the second half of the features belongs to the critic

    def __post_init__(self) -> None:
        self.__check_init__()

    def __check_init__(self) -> None:
        if self.kind not in ("gru", "lstm", "liquid"):
            raise ValueError(f"cell={self.kind!r} is not known. Use 'gru', 'lstm' or 'liquid'.")
        if self.kind == "liquid":
            check_circuit(self.size, self.num_motor, self.sparsity)
        check_sizes("memory_size", (self.size,))
        if self.count not in (1, 2):
            raise ValueError(f"RecurrentCell.count = {self.count}, but there is one, or one each for actor and critic.")


def plain_without_trunk(architecture: Instance) -> Instance:
    """The activation of a trunk that is not there was that of the heads, or tanh; now it is tanh."""
    if architecture.fields["trunk_sizes"] == []:
        architecture.fields["activation"] = {"function": "tanh"}
    return architecture


@register(upgrades=[plain_without_trunk, renamed(memory="cell")])
@final
@dataclasses.dataclass(frozen=True)
class Architecture:
    """Everything that decides the shape of a `Body`, so that a critic can be given the same one with other weights."""

    convolutions: Convolutions | None = None  # for each image of the observation; None: pixels are flattened
    trunk_sizes: tuple[int, ...] = ()  # dense layers where all parts of the observation meet
    activation: Activation = jnp.tanh  # of the trunk
    cell: RecurrentCell | None = None
    normalize_observation: bool = False  # all but images that go through convolutions
    initialization: Initialization = "orthogonal"

    def __post_init__(self) -> None:
        if not self.trunk_sizes:  # what nothing reads does not tell two architectures apart
            object.__setattr__(self, "activation", jnp.tanh)
        self.__check_init__()

    def __check_init__(self) -> None:
        check_sizes("trunk_sizes", self.trunk_sizes)
        check_initialization(self.initialization)

    def convolves(self, space: AbstractSpace) -> bool:
        """True for what goes through convolutions."""
        return self.convolutions is not None and self.convolutions.convolves(space)
