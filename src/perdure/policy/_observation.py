"""From an observation to the numbers a network takes: image scaling, flattening, running normalisation."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from perdure._core import AbstractConstant, register
from perdure.space import AbstractSpace, Box, Dict, Tuple


def features(space: AbstractSpace, observation: Any) -> Float[Array, " flat_size"]:
    """`space.flatten`, with the pixels of uint8 images scaled to [0, 1]."""
    match space:
        case Box() if space.is_image:
            return space.flatten(observation) / 255.0
        case Dict():
            return jnp.concatenate([features(member, observation[name]) for name, member in space.items])
        case Tuple():
            return jnp.concatenate([features(m, part) for m, part in zip(space.spaces, observation, strict=True)])
    return space.flatten(observation)


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


def update_normalizer(policy: Any, observation: Any) -> Any:
    """The policy with a batch of observations (leading axis) taken into its normaliser, if it has one."""
    if getattr(policy, "normalizer", None) is None:
        return policy
    batch = jax.vmap(lambda o: features(policy.observation_space, o))(observation)
    return eqx.tree_at(lambda p: p.normalizer, policy, policy.normalizer.update(batch))
