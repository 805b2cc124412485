"""Small policies of many kinds, as a user would write them."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array

from perdure._core import AbstractConstant
from perdure.policy import AbstractPolicyState, AbstractStatefulPolicy, AbstractStatelessPolicy
from perdure.space import AbstractSpace, Box, Dict, Discrete, MultiBinary, MultiDiscrete


class Stateless(AbstractStatelessPolicy):
    """`choose(observation, action_mask)` is the whole policy; each test policy overrides only that."""

    name: ClassVar[str] = "test"
    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: AbstractSpace = eqx.field(static=True)
    net: Any

    def __call__(self, state, observation, *, key=None, action_mask=None):
        return state, self.choose(observation, action_mask)

    def choose(self, observation, action_mask):
        raise NotImplementedError


def mlp(inputs: int, outputs: int, seed: int = 0, activation: Any = jnp.tanh, width: int = 32) -> eqx.nn.MLP:
    return eqx.nn.MLP(inputs, outputs, width, 2, activation=activation, key=jr.key(seed))


OBSERVATION = Box(np.array([-2.0, -1.0, -np.inf, -np.inf]), np.array([2.0, 1.0, np.inf, np.inf]))


class Argmax(Stateless):
    def choose(self, observation, action_mask):
        logits = self.net(observation)
        if action_mask is not None:
            logits = jnp.where(action_mask, logits, -jnp.inf)
        return jnp.argmax(logits).astype(jnp.int32) + self.action_space.start


class Clipped(Stateless):
    def choose(self, observation, action_mask):
        return jnp.clip(self.net(observation), self.action_space.low, self.action_space.high)


class Statistics(AbstractConstant):
    mean: Array
    std: Array


class Normalized(Stateless):
    statistics: Statistics

    def choose(self, observation, action_mask):
        x = jnp.clip((observation - self.statistics.mean) / self.statistics.std, -10.0, 10.0)
        return jnp.clip(self.net(x), self.action_space.low, self.action_space.high)


class Squashed(Stateless):
    def choose(self, observation, action_mask):
        u = jnp.tanh(self.net(observation))
        return self.action_space.low + (u + 1.0) * 0.5 * (self.action_space.high - self.action_space.low)


class Several(Stateless):
    def choose(self, observation, action_mask):
        logits = self.net(observation)
        if action_mask is not None:
            logits = jnp.where(action_mask, logits, jnp.finfo(jnp.float32).min)
        return jnp.stack([jnp.argmax(logits[:3]), jnp.argmax(logits[3:])]).astype(jnp.int32)


class Bits(Stateless):
    def choose(self, observation, action_mask):
        return (self.net(observation) > 0).astype(jnp.int8)


class Mixed(Stateless):
    def choose(self, observation, action_mask):
        kind = jax.nn.one_hot(observation["kind"], 3)
        image = observation["sensor"]["image"].reshape(-1).astype(jnp.float32) / 255.0 - 0.5
        x = jnp.concatenate([observation["sensor"]["position"], kind, image])
        return jnp.tanh(self.net(x)) * 3.0


class Attention(Stateless):
    """A user's own class: where, softmax, attention, an activation of its own."""

    def choose(self, observation, action_mask):
        tokens = observation.reshape(4, 1) * jnp.arange(1.0, 9.0)
        scores = tokens @ tokens.T / jnp.sqrt(8.0)
        mixed = jax.nn.softmax(scores, axis=-1) @ tokens
        pooled = jnp.where(mixed > 0, mixed, 0.1 * mixed).mean(0)
        return jnp.clip(self.net(pooled), self.action_space.low, self.action_space.high)


class Convolution(Stateless):
    head: eqx.nn.Linear

    def choose(self, observation, action_mask):
        x = jnp.transpose(observation.astype(jnp.float32) / 255.0, (2, 0, 1))
        return jnp.argmax(self.head(jax.nn.relu(self.net(x)).reshape(-1)))


class Memory(AbstractPolicyState):
    hidden: Array


class Recurrent(AbstractStatefulPolicy):
    name: ClassVar[str] = "recurrent"
    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: AbstractSpace = eqx.field(static=True)
    cell: eqx.nn.GRUCell
    head: eqx.nn.Linear

    def __call__(self, state, observation, *, key=None, action_mask=None):
        hidden = self.cell(observation, state.hidden)
        action = jnp.clip(self.head(hidden), self.action_space.low, self.action_space.high)
        return Memory(hidden), action

    def reset(self, *, key):
        return Memory(jnp.zeros(8))


CONTINUOUS = Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 0.5], np.float32))


def discrete(start: int = 0, seed: int = 0) -> Argmax:
    return Argmax(OBSERVATION, Discrete(5, start), mlp(4, 5, seed))


def continuous() -> Clipped:
    return Clipped(OBSERVATION, Box(-2.0, 2.0, (2,)), mlp(4, 2))


def normalized() -> Normalized:
    statistics = Statistics(jnp.array([0.1, -0.2, 0.3, 5.0]), jnp.array([0.5, 2.0, 3.0, 0.1]))
    return Normalized(OBSERVATION, Box(-1.0, 1.0, (2,)), mlp(4, 2), statistics)


def recurrent() -> Recurrent:
    return Recurrent(OBSERVATION, CONTINUOUS, eqx.nn.GRUCell(4, 8, key=jr.key(1)), eqx.nn.Linear(8, 2, key=jr.key(2)))


def convolution() -> Convolution:
    net, head = eqx.nn.Conv2d(3, 4, 3, 2, key=jr.key(0)), eqx.nn.Linear(36, 3, key=jr.key(1))
    return Convolution(Box(0, 255, (8, 8, 3), np.uint8), Discrete(3), net, head)


def mixed() -> Mixed:
    sensor = Dict(position=Box(-1, 1, (2,)), image=Box(0, 255, (2, 3), np.uint8))
    return Mixed(Dict(kind=Discrete(3), sensor=sensor), Box(-3.0, 3.0, (2,)), mlp(11, 2))


POLICIES = {
    "discrete": discrete,
    "started": lambda: discrete(start=-2),
    "continuous": continuous,
    "one-sided bounds": lambda: Clipped(OBSERVATION, CONTINUOUS, mlp(4, 2, activation=jax.nn.relu)),
    "normalized": normalized,
    "squashed": lambda: Squashed(OBSERVATION, CONTINUOUS, mlp(4, 2, activation=jax.nn.silu)),
    "several": lambda: Several(OBSERVATION, MultiDiscrete((3, 4)), mlp(4, 7)),
    "bits": lambda: Bits(OBSERVATION, MultiBinary((6,)), mlp(4, 6)),
    "mixed": mixed,
    "attention": lambda: Attention(OBSERVATION, CONTINUOUS, mlp(8, 2, activation=jax.nn.elu)),
    "convolution": convolution,
    "recurrent": recurrent,
}
