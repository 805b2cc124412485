"""What stands before the heads of every policy and critic: from an observation and a memory to features."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key, PyTree

from perdure._core import register
from perdure.network import CNN, GRU, LSTM, MLP, AbstractCell, ChannelsFirst, Liquid, Parallel
from perdure.space import AbstractSpace, Box

from ._architecture import Architecture, UnscaledConvolutions
from ._base import AbstractPolicy, AbstractPolicyState, AbstractStatefulPolicy
from ._observation import FixedNormalizer, NormalizedImage, Normalizer, is_image, plain_parts, plain_spaces


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
    settings = vars(architecture.convolutions) | {"initialization": architecture.initialization}
    keys = jr.split(key, len(images))
    return tuple(CNN(image.shape, **settings, key=k) for image, k in zip(images, keys, strict=True))


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
class Body(eqx.Module):
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
    trunk: MLP | None
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

    def is_convolved(self, space: AbstractSpace) -> bool:
        return self.architecture.convolves(space)

    @property
    def size(self) -> int:
        """How many features."""
        if self.cell is not None:
            return self.cell.out_size
        if self.trunk is not None:
            return self.trunk.out_size
        flat = [space.flat_size for space in plain_spaces(self.observation_space) if not self.is_convolved(space)]
        return sum(flat) + sum(cnn.out_size for cnn in self.cnns)

    def flat(self, observation: Any) -> Float[Array, " flat_size"]:
        """All of the observation that goes through no convolution, before it is normalised."""
        parts = [(s, v) for s, v in plain_parts(self.observation_space, observation) if not self.is_convolved(s)]
        vectors = [s.flatten(value) / 255.0 if is_image(s) else s.flatten(value) for s, value in parts]
        return jnp.concatenate(vectors) if vectors else jnp.zeros(0)

    def encode(self, observation: Any) -> Float[Array, " encoded"]:
        """The features of an observation by itself, before the memory."""
        x = self.flat(observation)
        x = x if self.normalizer is None else self.normalizer(x)
        images = [value for s, value in plain_parts(self.observation_space, observation) if self.is_convolved(s)]
        scale = 1.0 if isinstance(self.architecture.convolutions, UnscaledConvolutions) else 255.0
        encoded = [cnn(image / scale) for cnn, image in zip(self.cnns, images, strict=True)]
        x = jnp.concatenate([x, *encoded] if x.size else encoded) if encoded else x
        return x if self.trunk is None else self.trunk(x)

    def reset(self) -> MemoryState | None:
        """The memory at the start of an episode; None without one."""
        return None if self.cell is None else MemoryState(self.cell.initial_state())

    def __call__(
        self, state: MemoryState | None, observation: Any
    ) -> tuple[MemoryState | None, Float[Array, " features"]]:
        x = self.encode(observation)
        if self.cell is None:
            return None, x
        if state is None:
            raise TypeError("state is None, but the policy has a memory. Start with policy.reset(key=key).")
        memory, x = self.cell.step(state.memory, x)
        return MemoryState(memory), x


class AbstractBodyPolicy(AbstractPolicy):
    """A policy on the features of a body."""

    body: eqx.AbstractVar[Body]

    @property
    def normalizer(self) -> Normalizer | FixedNormalizer | None:
        return self.body.normalizer


class AbstractMemoryPolicy(AbstractBodyPolicy, AbstractStatefulPolicy):
    """A policy whose memory is that of its body."""

    def reset(self, *, key: Key[Array, ""]) -> MemoryState:
        state = self.body.reset()
        assert state is not None
        return state


def update_normalizer(module: Any, observation: Any) -> Any:
    """A policy, critic, or tuple of critics with a batch of observations (leading axis) taken into its normaliser, if any."""
    if isinstance(module, tuple):
        return tuple(update_normalizer(m, observation) for m in module)
    body = getattr(module, "body", None)
    if not isinstance(body, Body) or body.normalizer is None:
        return module
    batch = jax.vmap(body.flat)(observation)
    return eqx.tree_at(lambda m: m.body.normalizer, module, body.normalizer.update(batch))
