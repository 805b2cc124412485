"""A body of one's own, all of it: random features whose frequencies are learned (Rahimi & Recht 2007)."""

import dataclasses
from typing import ClassVar, final

import equinox as eqx
import jax.numpy as jnp
from jax import random as jr

from perdure.network import Linear
from perdure.policy import AbstractBody, AbstractBodyRecord, Built, features
from perdure.space import AbstractSpace
from perdure.utils import register


@register
@final
class Waves(AbstractBody):
    """cos(W x + b): random features whose frequencies are learned."""

    observation_space: AbstractSpace = eqx.field(static=True)
    waves: Linear

    @property
    def size(self):
        return self.waves.bias.shape[-1]

    def reset(self):
        return None

    def __call__(self, policy_state, observation):
        return None, jnp.cos(self.waves(features(self.observation_space, observation)))

    def fresh(self, *, key):
        key_weight, key_bias = jr.split(key)
        weight, bias = self.waves.weight, self.waves.bias
        other = Linear(jr.normal(key_weight, weight.shape), jr.uniform(key_bias, bias.shape))
        return Waves(self.observation_space, other)


@register
@final
@dataclasses.dataclass(frozen=True)
class WavesBody(AbstractBodyRecord):
    kind: ClassVar[str] = "waves"
    num_waves: int = 16

    def build(self, observation_space, layers, *, num_memories=1, key):
        blank = Linear(jnp.zeros((self.num_waves, observation_space.flat_size)), jnp.zeros(self.num_waves))
        return Built(Waves(observation_space, blank).fresh(key=key), layers)
