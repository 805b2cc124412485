"""What stands before the heads of every policy and critic: from an observation and a memory to features."""

import dataclasses
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from perdure._core import register
from perdure.network import CNN, MLP, Activation, Initialization
from perdure.space import AbstractSpace, Box

from ._observation import Normalizer, is_image, plain_parts, plain_spaces


@register
@final
@dataclasses.dataclass(frozen=True)
class Convolutions:
    """How an image becomes numbers: settings of `perdure.network.CNN`. The default is Mnih et al. 2015."""

    features: int = 512
    channels: tuple[int, ...] = (32, 64, 64)
    kernels: tuple[int, ...] = (8, 4, 3)
    strides: tuple[int, ...] = (4, 2, 1)
    activation: Activation = jax.nn.relu


@register
@final
@dataclasses.dataclass(frozen=True)
class Architecture:
    """Everything that decides the shape of a `Body`, so that a critic can be given the same one with other weights."""

    convolutions: Convolutions | None = None  # for each image of the observation; None: pixels are flattened
    trunk_sizes: tuple[int, ...] = ()  # dense layers where all parts of the observation meet
    activation: Activation = jnp.tanh  # of the trunk
    normalize_observation: bool = False  # all but images that go through convolutions
    initialization: Initialization = "orthogonal"


@register
@final
class Body(eqx.Module):
    """Features of one observation.

        images -> convolutions ------------+
                                           +-> trunk -> features
        all else -> flat -> normaliser ----+

    Parts that are absent are left out. Features begin with the flat numbers; each image's follow, in the order of the
    space.

    Raises: TypeError for convolutions without an image in the observation.
    """

    observation_space: AbstractSpace = eqx.field(static=True)
    architecture: Architecture = eqx.field(static=True)
    normalizer: Normalizer | None
    cnns: tuple[CNN, ...]
    trunk: MLP | None

    def __init__(self, observation_space: AbstractSpace, architecture: Architecture, *, key: Key[Array, ""]):
        self.observation_space, self.architecture = observation_space, architecture
        key_cnns, key_trunk = jr.split(key)
        a = architecture
        spaces = plain_spaces(observation_space)
        images = [s for s in spaces if isinstance(s, Box) and self.is_convolved(s)]
        if a.convolutions is not None and not images:
            raise TypeError(
                f"observation_space is {observation_space}, which has no image: uint8, 0 to 255, height x width x channels. "
                "Use an MLP policy."
            )
        size = sum(s.flat_size for s in spaces if not self.is_convolved(s))
        self.normalizer = Normalizer(size) if a.normalize_observation and size else None
        keys = jr.split(key_cnns, max(len(images), 1))
        self.cnns = tuple(
            CNN(image.shape, **vars(a.convolutions), initialization=a.initialization, key=k)
            for image, k in zip(images, keys, strict=False)
        )
        size += sum(cnn.out_size for cnn in self.cnns)
        self.trunk = None
        if a.trunk_sizes:
            self.trunk = MLP(
                size,
                a.trunk_sizes[-1],
                a.trunk_sizes[:-1],
                a.activation,
                final_activation=a.activation,
                initialization=a.initialization,
                final_gain=2**0.5,
                key=key_trunk,
            )

    def is_convolved(self, space: AbstractSpace) -> bool:
        return self.architecture.convolutions is not None and is_image(space)

    @property
    def size(self) -> int:
        """How many features."""
        if self.trunk is not None:
            return self.trunk.out_size
        spaces = plain_spaces(self.observation_space)
        return sum(s.flat_size for s in spaces if not self.is_convolved(s)) + sum(cnn.out_size for cnn in self.cnns)

    def flat(self, observation: Any) -> Float[Array, " flat_size"]:
        """All of the observation that goes through no convolution, before it is normalised."""
        parts = plain_parts(self.observation_space, observation)
        flat = [
            s.flatten(value) / 255.0 if is_image(s) else s.flatten(value)
            for s, value in parts
            if not self.is_convolved(s)
        ]
        return jnp.concatenate([jnp.zeros(0), *flat]) if not flat else jnp.concatenate(flat)

    def encode(self, observation: Any) -> Float[Array, " encoded"]:
        """The features of one observation by itself."""
        x = self.flat(observation)
        x = x if self.normalizer is None else self.normalizer(x)
        images = [v for s, v in plain_parts(self.observation_space, observation) if self.is_convolved(s)]
        if images:
            encoded = [cnn(v / 255.0) for cnn, v in zip(self.cnns, images, strict=True)]
            x = jnp.concatenate([x, *encoded]) if x.size else jnp.concatenate(encoded)
        return x if self.trunk is None else self.trunk(x)

    def reset(self) -> None:
        """The memory at the start of an episode; None without one."""
        return None

    def __call__(self, state: None, observation: Any) -> tuple[None, Float[Array, " features"]]:
        return state, self.encode(observation)


def update_normalizer(module: Any, observation: Any) -> Any:
    """A policy or critic with a batch of observations (leading axis) taken into its normaliser, if it has one.

    Critics that are several in one, made by `eqx.filter_vmap`, take it into each.
    """
    body = getattr(module, "body", None)
    normalizer = getattr(body, "normalizer", None)
    if not isinstance(body, Body) or normalizer is None:
        return module
    update = Normalizer.update
    for _ in range(normalizer.count.ndim):
        update = jax.vmap(update, in_axes=(0, None))
    batch = jax.vmap(body.flat)(observation)
    return eqx.tree_at(lambda m: m.body.normalizer, module, update(normalizer, batch))
