"""What a policy is made of before its heads: one record for each kind of body, with what the user decides.

    ActorCriticPolicy(env, CNNBody(trunk_sizes=(256,)), key=key)
    ActorCriticPolicy(env, RecurrentBody(cell="lstm"), separate_critic=True, key=key)

A record is plain: it is compared by value, and its fields are what `new_policy`, agents and the command line take. None stands
for what is usual in the role that the policy has.
"""

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple, final

import jax
from jaxtyping import Array, Key

from perdure._core import register
from perdure.network import MLP, Activation, Initialization, check_initialization, check_sizes
from perdure.space import AbstractSpace, Dict

from ._architecture import NATURE, Architecture, Convolutions, RecurrentCell
from ._body import AbstractBody, Body
from ._observation import is_image, plain_spaces

BODIES: dict[str, type["AbstractBodyRecord"]] = {}  # kind -> record, also those of users


class Layers(NamedTuple):
    """The dense layers of a policy, where nothing else is said: of its heads, and of the trunk before them."""

    hidden_sizes: tuple[int, ...]
    activation: Activation
    initialization: Initialization

    def network(
        self,
        in_size: int,
        out_size: int,
        *,
        final_activation: Activation = jax.nn.identity,
        final_gain: float = 1.0,
        key: Key[Array, ""],
    ) -> MLP:
        """These layers, and one of `out_size` behind them."""
        return MLP(
            in_size,
            out_size,
            self.hidden_sizes,
            self.activation,
            final_activation=final_activation,
            initialization=self.initialization,
            final_gain=final_gain,
            key=key,
        )


class Usual(NamedTuple):
    """What a kind of body has in every role. None: what is usual in the role."""

    hidden_sizes: tuple[int, ...] | None = None
    activation: Activation | None = None


class Built(NamedTuple):
    """What a record makes."""

    body: AbstractBody
    heads: Layers  # those of each network on its features


@dataclasses.dataclass(frozen=True)
class AbstractBodyRecord(ABC):
    """What every kind of body has. A kind of one's own is a frozen dataclass with `kind` and `build`.

    Raises: ValueError for a layer without units, an initialisation that is not known, keys without a name.
    """

    kind: ClassVar[str]  # the word for it: `policy="recurrent"`
    has_memory: ClassVar[bool] = False
    usual: ClassVar[Usual] = Usual()

    hidden_sizes: tuple[int, ...] | None = None  # layers of each head; None: what is usual
    activation: Activation | None = None  # of these and of the trunk; None: what is usual
    initialization: Initialization | None = None  # None: what is usual
    keys: tuple[str, ...] | None = None  # of a Dict of observations: what the body sees; None: all

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in vars(cls):
            other = BODIES.get(cls.kind, cls)
            if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
                raise ValueError(
                    f"{cls.__qualname__}.kind = {cls.kind!r} belongs to {other.__qualname__}. Choose another word."
                )
            BODIES[cls.kind] = cls

    def __post_init__(self) -> None:
        for cls in type(self).__mro__:  # each class has its say, as for modules and for what comes from a file
            if "__check_init__" in vars(cls):
                vars(cls)["__check_init__"](self)

    def __check_init__(self) -> None:
        for name in vars(self).keys() & {"hidden_sizes", "trunk_sizes"}:
            check_sizes(name, getattr(self, name) or ())
        if self.initialization is not None:
            check_initialization(self.initialization)
        if self.keys is not None and not self.keys:
            raise ValueError(f"{type(self).__name__}.keys is empty, so the body would see nothing. Use None for all.")

    @abstractmethod
    def build(
        self, observation_space: AbstractSpace, layers: Layers, *, num_memories: int = 1, key: Key[Array, ""]
    ) -> Built:
        """The body on this space, with what of `layers` it wants for itself, and the layers of the heads.

        With `num_memories` of 2, which only a record that `has_memory` is asked for, the second half of the features is the
        critic's.
        """

    @classmethod
    def usual_in(cls, role: Layers) -> Layers:
        """What None stands for in a role."""
        own = cls.usual
        sizes = role.hidden_sizes if own.hidden_sizes is None else own.hidden_sizes
        return Layers(sizes, own.activation or role.activation, role.initialization)

    def built(
        self, observation_space: AbstractSpace, role: Layers, *, num_memories: int = 1, key: Key[Array, ""]
    ) -> Built:
        """The body and the layers of its heads, in a role that usually has these layers.

        Raises: ValueError for two memories of a body that has none, TypeError or ValueError for keys that are not there.
        """
        if num_memories != 1 and not self.has_memory:
            raise ValueError(
                f"separate_critic=True gives the critic a memory of its own, but {type(self).__name__} has no memory. "
                "Leave it out, or give critic_body."
            )
        usual = self.usual_in(role)
        layers = Layers(
            usual.hidden_sizes if self.hidden_sizes is None else tuple(self.hidden_sizes),
            self.activation or usual.activation,
            self.initialization or usual.initialization,
        )
        return self.build(part_of(observation_space, self.keys), layers, num_memories=num_memories, key=key)


def part_of(space: AbstractSpace, keys: tuple[str, ...] | None) -> AbstractSpace:
    """The members of a Dict with these keys. Raises: TypeError for another space, ValueError for a key that is not there."""
    if keys is None:
        return space
    if not isinstance(space, Dict):
        raise TypeError(f"keys={keys} choose from a Dict of observations, but observation_space is {space}.")
    if unknown := sorted(set(keys) - set(space.spaces)):
        raise ValueError(f"keys has {unknown}, but observation_space has {sorted(space.spaces)}.")
    return Dict({key: space[key] for key in keys})


@dataclasses.dataclass(frozen=True)
class AbstractArchitectureRecord(AbstractBodyRecord):
    """A kind of `Body`."""

    normalize_observation: bool = False  # a running normaliser before all but convolved images, saved and exported

    @abstractmethod
    def architecture(self, observation_space: AbstractSpace, layers: Layers, num_memories: int) -> Architecture:
        """That of the body, but for what all kinds have: normaliser, initialisation, activation."""

    def build(
        self, observation_space: AbstractSpace, layers: Layers, *, num_memories: int = 1, key: Key[Array, ""]
    ) -> Built:
        architecture = dataclasses.replace(
            self.architecture(observation_space, layers, num_memories),
            activation=layers.activation,
            normalize_observation=self.normalize_observation,
            initialization=layers.initialization,
        )
        heads = layers._replace(hidden_sizes=()) if isinstance(self, MLPBody) and self.shared else layers
        return Built(Body(observation_space, architecture, key=key), heads)


def if_images(space: AbstractSpace, convolutions: Convolutions | None) -> Convolutions | None:
    """`convolutions`, or None where the observation has no image."""
    return convolutions if any(map(is_image, plain_spaces(space))) else None


@register
@final
@dataclasses.dataclass(frozen=True)
class MLPBody(AbstractArchitectureRecord):
    """The flattened observation; all layers are in the heads, or with `shared` before them."""

    kind: ClassVar[str] = "mlp"
    shared: bool = False

    def architecture(self, observation_space: AbstractSpace, layers: Layers, num_memories: int) -> Architecture:
        if self.shared and not layers.hidden_sizes:
            raise ValueError("shared=True needs at least one hidden layer to share, but hidden_sizes is empty.")
        return Architecture(trunk_sizes=layers.hidden_sizes if self.shared else ())


FLAT = MLPBody()


@register
@final
@dataclasses.dataclass(frozen=True)
class CNNBody(AbstractArchitectureRecord):
    """Images, each through convolutions of its own; all else is flattened beside them.

    `trunk_sizes` are dense layers where the parts meet; `hidden_sizes` those of the heads after it.

    Raises: TypeError if the observation has no image (a Box of uint8, 0 to 255, height x width x channels).
    """

    kind: ClassVar[str] = "cnn"
    usual: ClassVar[Usual] = Usual((64,), jax.nn.relu)
    convolutions: Convolutions = NATURE
    trunk_sizes: tuple[int, ...] = ()

    def architecture(self, observation_space: AbstractSpace, layers: Layers, num_memories: int) -> Architecture:
        return Architecture(self.convolutions, tuple(self.trunk_sizes))


@register
@final
@dataclasses.dataclass(frozen=True)
class RecurrentBody(AbstractArchitectureRecord):
    """A GRU or LSTM, for what one observation does not tell.

    The cell stands after `trunk_sizes` and before `hidden_sizes`; images go through convolutions first.
    """

    kind: ClassVar[str] = "recurrent"
    has_memory: ClassVar[bool] = True
    usual: ClassVar[Usual] = Usual((64,))
    cell: Literal["gru", "lstm"] = "gru"
    memory_size: int = 128
    trunk_sizes: tuple[int, ...] = (64,)
    convolutions: Convolutions | None = NATURE  # of images, where there are any; None: pixels are flattened

    def __check_init__(self) -> None:
        RecurrentCell(self.cell, self.memory_size)

    def architecture(self, observation_space: AbstractSpace, layers: Layers, num_memories: int) -> Architecture:
        cell = RecurrentCell(self.cell, self.memory_size, count=num_memories)
        return Architecture(if_images(observation_space, self.convolutions), tuple(self.trunk_sizes), cell=cell)


@register
@final
@dataclasses.dataclass(frozen=True)
class LiquidBody(AbstractArchitectureRecord):
    """A liquid network, see `perdure.network.Liquid`.

    `hidden_sizes` and a linear layer read the motor neurons. Images go through convolutions first.
    """

    kind: ClassVar[str] = "liquid"
    has_memory: ClassVar[bool] = True
    usual: ClassVar[Usual] = Usual(())
    num_neurons: int = 32  # inter and command neurons
    num_motor: int = 16  # motor neurons
    sparsity: float = 0.5  # share of connections between layers that do not exist
    trunk_sizes: tuple[int, ...] = ()
    convolutions: Convolutions | None = NATURE  # of images, where there are any; None: pixels are flattened

    def __check_init__(self) -> None:
        RecurrentCell("liquid", self.num_neurons, self.num_motor, self.sparsity)

    def architecture(self, observation_space: AbstractSpace, layers: Layers, num_memories: int) -> Architecture:
        cell = RecurrentCell("liquid", self.num_neurons, self.num_motor, self.sparsity, count=num_memories)
        return Architecture(if_images(observation_space, self.convolutions), tuple(self.trunk_sizes), cell=cell)


def record_of(architecture: Architecture) -> type[AbstractArchitectureRecord]:
    """The kind of body that an architecture is of, whoever made it."""
    if architecture.cell is None:
        return MLPBody if architecture.convolutions is None else CNNBody
    return LiquidBody if architecture.cell.kind == "liquid" else RecurrentBody
