"""What stands before the heads of every policy and critic: from an observation and a memory to features."""

from abc import abstractmethod
from typing import Protocol, final, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key, PyTree

from perdure._core import Observation, make, register
from perdure.network import CNN, GRU, LSTM, MLP, AbstractCell, ChannelsFirst, Liquid, Parallel
from perdure.space import AbstractSpace, Box

from ._architecture import NATURE, Architecture
from ._base import AbstractPolicyState
from ._observation import FixedNormalizer, NormalizedImage, Normalizer, is_image, plain_parts, plain_spaces


class AbstractBody(eqx.Module):
    """From a memory and an observation to the next memory and the features that the heads of a policy read.

    What a policy asks of its body, and all that a body of your own needs: see docs/policies.md. One whose statistics run over
    what it sees has `updated(observation)` too, see `TakesStatistics`.
    """

    @property
    @abstractmethod
    def size(self) -> int:
        """How many features."""

    @abstractmethod
    def reset(self) -> AbstractPolicyState | None:
        """The memory at the start of an episode; None for a body that has none."""

    @abstractmethod
    def __call__(
        self, policy_state: AbstractPolicyState | None, observation: Observation
    ) -> tuple[AbstractPolicyState | None, Float[Array, " features"]]:
        """The next memory, and the features."""

    @abstractmethod
    def fresh(self, *, key: Key[Array, ""]) -> "AbstractBody":
        """Another of the same shape with weights of its own and the same statistics: the body of a critic."""


@runtime_checkable
class TakesStatistics(Protocol):
    """A body whose statistics run over what it sees."""

    def updated(self, observation: Observation) -> AbstractBody:
        """The same with a batch of observations (leading axis) taken into its statistics."""


@runtime_checkable
class FeatureNetwork(Protocol):
    """What may stand where the trunk does: any module that makes features of features."""

    @property
    def out_size(self) -> int: ...
    def __call__(self, x: Float[Array, " in_size"], /) -> Float[Array, " out_size"]: ...


@register
@final
class MemoryState(AbstractPolicyState):
    """What the recurrent cells of a policy remember."""

    memory: PyTree[Float[Array, "..."]]


def make_cnns(spaces: list[AbstractSpace], architecture: Architecture, key: Key[Array, ""]) -> tuple[CNN, ...]:
    """One for each image. Raises: TypeError if there is none."""
    if architecture.convolutions is None:
        return ()
    images = [space for space in spaces if isinstance(space, Box) and architecture.convolves(space)]
    if not images:
        raise TypeError(
            "convolutions need an image in the observation, that is a Box of uint8 from 0 to 255 with height, width and "
            f"channels, but there are only {', '.join(map(str, spaces))}. Use an MLP policy."
        )
    asked, keys = architecture.convolutions, jr.split(key, len(images))
    return tuple(
        CNN(
            image.shape,
            asked.features,
            channels=asked.channels,
            kernels=asked.kernels,
            strides=asked.strides,
            activation=asked.activation,
            initialization=architecture.initialization,
            key=k,
        )
        for image, k in zip(images, keys, strict=True)
    )


def make_trunk(in_size: int, architecture: Architecture, key: Key[Array, ""]) -> MLP | None:
    sizes, activation = architecture.trunk_sizes, architecture.activation
    if not sizes:
        return None
    return MLP(
        in_size,
        sizes[-1],
        sizes[:-1],
        activation,
        final_activation=activation,
        initialization=architecture.initialization,
        final_gain=2**0.5,
        key=key,
    )


def make_cell(in_size: int, architecture: Architecture, key: Key[Array, ""]) -> AbstractCell | None:
    memory = architecture.memory
    if memory is None:
        return None

    def one(key: Key[Array, ""]) -> AbstractCell:
        if memory.cell == "liquid":
            return Liquid(in_size, memory.size, memory.num_motor, sparsity=memory.sparsity, key=key)
        gated = GRU if memory.cell == "gru" else LSTM
        return gated(in_size, memory.size, initialization=architecture.initialization, key=key)

    return one(key) if memory.count == 1 else Parallel(tuple(one(k) for k in jr.split(key, memory.count)))


@register
@final
class Body(AbstractBody):
    """Features of an observation and a memory.

        images -> convolutions ------------+
                                           +-> trunk -> cell -> features
        all else -> flat -> normaliser ----+

    Parts that are absent are left out. The flat numbers come first; each image's follow, in the order of the space.
    """

    observation_space: AbstractSpace = eqx.field(static=True)
    architecture: Architecture = eqx.field(static=True)
    normalizer: Normalizer | FixedNormalizer | None
    cnns: tuple[CNN | ChannelsFirst | NormalizedImage, ...]
    trunk: FeatureNetwork | None
    cell: AbstractCell | None

    def __init__(self, observation_space: AbstractSpace, architecture: Architecture, *, key: Key[Array, ""]):
        self.observation_space, self.architecture = observation_space, architecture
        key_cnns, key_trunk, key_cell = jr.split(key, 3)
        spaces = plain_spaces(observation_space)
        flat_size = sum(space.flat_size for space in spaces if not self.is_convolved(space))
        self.normalizer = Normalizer(flat_size) if architecture.normalize_observation and flat_size else None
        self.cnns = make_cnns(spaces, architecture, key_cnns)
        size = flat_size + sum(cnn.out_size for cnn in self.cnns)
        self.trunk = make_trunk(size, architecture, key_trunk)
        self.cell = make_cell(size if self.trunk is None else self.trunk.out_size, architecture, key_cell)

    @classmethod
    def of(
        cls,
        observation_space: AbstractSpace,
        architecture: Architecture,
        *,
        normalizer: Normalizer | FixedNormalizer | None = None,
        cnns: tuple[CNN | ChannelsFirst | NormalizedImage, ...] = (),
        trunk: FeatureNetwork | None = None,
        cell: AbstractCell | None = None,
    ) -> "Body":
        """One made of these parts, whatever the architecture would have made."""
        static = {"observation_space": observation_space, "architecture": architecture}
        return make(cls, {**static, "normalizer": normalizer, "cnns": cnns, "trunk": trunk, "cell": cell})

    def is_convolved(self, space: AbstractSpace) -> bool:
        return self.architecture.convolves(space)

    @property
    def size(self) -> int:
        if self.cell is not None:
            return self.cell.out_size
        if self.trunk is not None:
            return self.trunk.out_size
        flat = [space.flat_size for space in plain_spaces(self.observation_space) if not self.is_convolved(space)]
        return sum(flat) + sum(cnn.out_size for cnn in self.cnns)

    def flat(self, observation: Observation) -> Float[Array, " flat_size"]:
        """All of the observation that goes through no convolution, before it is normalised."""
        parts = [(s, v) for s, v in plain_parts(self.observation_space, observation) if not self.is_convolved(s)]
        vectors = [s.flatten(value) / 255.0 if is_image(s) else s.flatten(value) for s, value in parts]
        return jnp.concatenate(vectors) if vectors else jnp.zeros(0)

    def encode(self, observation: Observation) -> Float[Array, " encoded"]:
        """The features of an observation by itself, before the memory."""
        x = self.flat(observation)
        x = x if self.normalizer is None else self.normalizer(x)
        images = [value for s, value in plain_parts(self.observation_space, observation) if self.is_convolved(s)]
        convolutions = self.architecture.convolutions or NATURE
        encoded = [cnn(convolutions.scaled(image)) for cnn, image in zip(self.cnns, images, strict=True)]
        x = jnp.concatenate([x, *encoded] if x.size else encoded) if encoded else x
        return x if self.trunk is None else self.trunk(x)

    def reset(self) -> MemoryState | None:
        return None if self.cell is None else MemoryState(self.cell.initial_state())

    def __call__(
        self, policy_state: AbstractPolicyState | None, observation: Observation
    ) -> tuple[MemoryState | None, Float[Array, " features"]]:
        x = self.encode(observation)
        if self.cell is None:
            return None, x
        if not isinstance(policy_state, MemoryState):
            raise TypeError(
                f"policy_state is {type(policy_state).__name__}, but the policy has a memory. Start with policy.reset(key=key)."
            )
        memory, x = self.cell.step(policy_state.memory, x)
        return MemoryState(memory), x

    def fresh(self, *, key: Key[Array, ""]) -> "Body":
        body = Body(self.observation_space, self.architecture, key=key)
        if self.normalizer is None:
            return body
        return eqx.tree_at(lambda b: b.normalizer, body, self.normalizer)

    def updated(self, observation: Observation) -> "Body":
        if self.normalizer is None:
            return self
        return eqx.tree_at(lambda b: b.normalizer, self, self.normalizer.update(jax.vmap(self.flat)(observation)))
