"""From an observation to numbers, and the statistics that normalise them."""

from typing import TypeGuard, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from perdure._core import AbstractConstant, Observation, register
from perdure.network import CNN, ChannelsFirst
from perdure.space import AbstractSpace, Box, Dict, Tuple


def plain_parts(space: AbstractSpace, observation: Observation) -> list[tuple[AbstractSpace, Observation]]:
    """The parts of an observation that are no Dict and no Tuple, with their spaces, in the order of `flatten`."""
    if isinstance(space, Dict):
        return [part for name, member in space.items for part in plain_parts(member, observation[name])]
    if isinstance(space, Tuple):
        pairs = zip(space.spaces, observation, strict=True)
        return [part for member, value in pairs for part in plain_parts(member, value)]
    return [(space, observation)]


def plain_spaces(space: AbstractSpace) -> list[AbstractSpace]:
    """The spaces of `plain_parts`."""
    if isinstance(space, Dict | Tuple):
        members = [member for _, member in space.items] if isinstance(space, Dict) else space.spaces
        return [plain for member in members for plain in plain_spaces(member)]
    return [space]


def is_image(space: AbstractSpace) -> TypeGuard[Box]:
    return isinstance(space, Box) and space.is_image


def features(space: AbstractSpace, observation: Observation) -> Float[Array, " flat_size"]:
    """`space.flatten`, with the pixels of uint8 images scaled to [0, 1]."""
    parts = plain_parts(space, observation)
    return jnp.concatenate([s.flatten(value) / 255.0 if is_image(s) else s.flatten(value) for s, value in parts])


@register
@final
class Normalizer(AbstractConstant):
    """(x - mean) / sqrt(variance + epsilon), clipped; the statistics run over everything seen so far.

    They are data, not parameters: no optimiser sees them, and they are saved and exported with the policy.

    Source: Chan, Golub & LeVeque 1983, doi:10.1080/00031305.1983.10483115, for merging means and variances.
    """

    mean: Float[Array, " size"]
    variance: Float[Array, " size"]
    count: Float[Array, ""]  # observations seen
    clip: float = eqx.field(static=True)
    epsilon: float = eqx.field(static=True)

    def __init__(self, size: int, *, clip: float = 10.0, epsilon: float = 1e-8):
        self.mean, self.variance, self.count = jnp.zeros(size), jnp.ones(size), jnp.zeros(())
        self.clip, self.epsilon = float(clip), float(epsilon)

    def __call__(self, x: Float[Array, " size"]) -> Float[Array, " size"]:
        return jnp.clip((x - self.mean) / jnp.sqrt(self.variance + self.epsilon), -self.clip, self.clip)

    def update(self, batch: Float[Array, "batch size"]) -> "Normalizer":
        """With a batch of observations taken in."""
        batch_mean, batch_variance, batch_count = batch.mean(0), batch.var(0), batch.shape[0]
        count = self.count + batch_count
        delta = batch_mean - self.mean
        mean = self.mean + delta * (batch_count / count)
        squares = self.variance * self.count + batch_variance * batch_count
        variance = (squares + jnp.square(delta) * self.count * batch_count / count) / count
        return eqx.tree_at(lambda n: (n.mean, n.variance, n.count), self, (mean, variance, count))


@register
@final
class FixedNormalizer(AbstractConstant):
    """(x - mean) / deviation, clipped, with statistics that stay as they are.

    They may come from float64 sums, so the mean is held in two parts: where it is large beside the deviation, a float32
    alone would be off by more than the normalised observation can bear.
    """

    mean: Float[Array, " size"]
    mean_remainder: Float[Array, " size"]  # what rounding to float32 took from the mean
    deviation: Float[Array, " size"]
    limit: Float[Array, " size"]  # of the absolute value; the largest float32 where nothing is clipped

    def __call__(self, x: Float[Array, " size"]) -> Float[Array, " size"]:
        return jnp.clip((x - self.mean - self.mean_remainder) / self.deviation, -self.limit, self.limit)

    def update(self, batch: Float[Array, "batch size"]) -> "FixedNormalizer":
        """Itself."""
        return self


@register
@final
class NormalizedImage(eqx.Module):
    """A network on images whose every number is normalised before."""

    normalizer: FixedNormalizer
    network: CNN | ChannelsFirst

    @property
    def out_size(self) -> int:
        return self.network.out_size

    def __call__(self, image: Float[Array, "..."]) -> Float[Array, " features"]:
        return self.network(self.normalizer(image.ravel()).reshape(image.shape))
