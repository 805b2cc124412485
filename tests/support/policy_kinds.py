"""Every kind of policy, small, for tests that hold for all of them."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure._core import split_trainable
from perdure.policy import (
    CNNActorCriticPolicy,
    CNNDeterministicPolicy,
    CNNQPolicy,
    CNNQuantileQPolicy,
    CNNSACPolicy,
    Convolutions,
    LiquidActorCriticPolicy,
    LiquidDeterministicPolicy,
    LiquidQPolicy,
    LiquidQuantileQPolicy,
    LiquidSACPolicy,
    MLPActorCriticPolicy,
    MLPDeterministicPolicy,
    MLPQPolicy,
    MLPQuantileQPolicy,
    MLPSACPolicy,
    RecurrentActorCriticPolicy,
    RecurrentDeterministicPolicy,
    RecurrentQPolicy,
    RecurrentQuantileQPolicy,
    RecurrentSACPolicy,
)
from perdure.space import AbstractSpace, Box, Dict, Discrete, MultiDiscrete


class Spaces(NamedTuple):
    """A policy needs no environment, only its spaces."""

    observation_space: AbstractSpace
    action_space: AbstractSpace


VECTOR = Box(-np.inf, np.inf, (3,))
IMAGE = Box(0, 255, (8, 8, 2), np.uint8)
MIXED = Dict(camera=IMAGE, speed=Box(-5, 5, (2,)), gear=Discrete(3, start=-1), wrist=Box(0, 255, (7, 7, 1), np.uint8))
CHOICE = Discrete(4, start=3)
FORCE = Box(np.array([-1.0, 0.5], np.float32), np.array([0.25, 80.0], np.float32))
SEVERAL = MultiDiscrete((2, 3), (0, 5))

CNN: dict[str, Any] = {
    "convolutions": Convolutions(features=8, channels=(4, 4), kernels=(3, 3), strides=(2, 1)),
    "hidden_sizes": (8,),
}
MLP: dict[str, Any] = {"hidden_sizes": (8, 8)}
GRU: dict[str, Any] = {"cell": "gru", "memory_size": 6, "trunk_sizes": (8,), "hidden_sizes": (8,)}
LSTM: dict[str, Any] = {**GRU, "cell": "lstm"}
LIQUID: dict[str, Any] = {"num_neurons": 10, "num_motor": 3}
NORMALIZED: dict[str, Any] = {"normalize_observation": True}

# name -> (class, observation space, action space, settings)
KINDS: dict[str, tuple[Callable[..., Any], AbstractSpace, AbstractSpace, dict[str, Any]]] = {
    "mlp actor-critic": (MLPActorCriticPolicy, VECTOR, CHOICE, MLP | NORMALIZED),
    "mlp actor-critic, shared, gSDE": (MLPActorCriticPolicy, MIXED, FORCE, MLP | {"shared": True, "gsde_interval": 4}),
    "mlp actor-critic, squash, gSDE": (MLPActorCriticPolicy, VECTOR, FORCE, MLP | {"squash": True, "gsde_interval": 4}),
    "cnn actor-critic": (CNNActorCriticPolicy, IMAGE, SEVERAL, CNN),
    "cnn actor-critic, dict": (CNNActorCriticPolicy, MIXED, FORCE, CNN | NORMALIZED | {"trunk_sizes": (8,)}),
    "gru actor-critic": (RecurrentActorCriticPolicy, VECTOR, CHOICE, GRU),
    "lstm actor-critic, two": (RecurrentActorCriticPolicy, VECTOR, FORCE, LSTM | {"separate_critic": True}),
    "gru actor-critic, dict": (RecurrentActorCriticPolicy, MIXED, CHOICE, GRU | CNN | NORMALIZED),
    "liquid actor-critic": (LiquidActorCriticPolicy, VECTOR, FORCE, LIQUID),
    "liquid actor-critic, two": (
        LiquidActorCriticPolicy,
        VECTOR,
        CHOICE,
        LIQUID | NORMALIZED | {"separate_critic": True},
    ),
    "mlp q": (MLPQPolicy, VECTOR, CHOICE, MLP),
    "mlp q, dueling": (MLPQPolicy, VECTOR, CHOICE, MLP | {"dueling": True}),
    "cnn q": (CNNQPolicy, IMAGE, CHOICE, CNN | {"dueling": True}),
    "gru q": (RecurrentQPolicy, VECTOR, CHOICE, GRU),
    "liquid q": (LiquidQPolicy, VECTOR, CHOICE, LIQUID),
    "mlp quantiles": (MLPQuantileQPolicy, VECTOR, CHOICE, MLP | {"num_quantiles": 5}),
    "cnn quantiles": (CNNQuantileQPolicy, IMAGE, CHOICE, CNN | {"num_quantiles": 5}),
    "lstm quantiles, dueling": (RecurrentQuantileQPolicy, VECTOR, CHOICE, LSTM | {"num_quantiles": 5, "dueling": True}),
    "liquid quantiles": (LiquidQuantileQPolicy, VECTOR, CHOICE, LIQUID | {"num_quantiles": 5}),
    "mlp deterministic": (MLPDeterministicPolicy, VECTOR, FORCE, MLP | NORMALIZED),
    "cnn deterministic": (CNNDeterministicPolicy, MIXED, FORCE, CNN),
    "gru deterministic": (RecurrentDeterministicPolicy, VECTOR, FORCE, GRU),
    "liquid deterministic": (LiquidDeterministicPolicy, VECTOR, FORCE, LIQUID),
    "mlp soft": (MLPSACPolicy, VECTOR, FORCE, MLP),
    "mlp soft, discrete": (MLPSACPolicy, VECTOR, CHOICE, MLP),
    "mlp soft, gSDE": (MLPSACPolicy, VECTOR, FORCE, MLP | {"gsde_interval": 8}),
    "cnn soft": (CNNSACPolicy, IMAGE, FORCE, CNN),
    "lstm soft": (RecurrentSACPolicy, VECTOR, FORCE, LSTM),
    "gru soft, discrete": (RecurrentSACPolicy, VECTOR, CHOICE, GRU),
    "liquid soft": (LiquidSACPolicy, VECTOR, FORCE, LIQUID),
}


def arguments(kind: str) -> tuple[Any, Spaces, dict[str, Any]]:
    """The class, what stands for its environment, and its settings."""
    cls, observation_space, action_space, settings = KINDS[kind]
    return cls, Spaces(observation_space, action_space), settings


def some_slow(quick: tuple[str, ...], kinds: Iterable[str] = tuple(KINDS)) -> list[Any]:
    """Kinds as parameters of a test, all but the quick ones marked slow."""
    return [kind if kind in quick else pytest.param(kind, marks=pytest.mark.slow) for kind in kinds]


@functools.cache
def make(kind: str) -> Any:
    """A policy with larger weights than a fresh one has, so that its actions differ, and statistics of its own."""
    cls, spaces, settings = arguments(kind)

    @eqx.filter_jit
    def build() -> Any:
        policy = cls(spaces, **settings, key=jr.key(0))
        parameters, rest = split_trainable(policy)
        leaves, structure = jax.tree.flatten(parameters)
        noise = jr.normal(jr.key(1), (sum(x.size for x in leaves),))
        parts = jnp.split(0.3 * noise, np.cumsum([x.size for x in leaves])[:-1])
        leaves = [x + part.reshape(x.shape) for x, part in zip(leaves, parts, strict=True)]
        policy = eqx.combine(jax.tree.unflatten(structure, leaves), rest)
        if policy.normalizer is None:
            return policy
        size = policy.normalizer.mean.size
        statistics = (jnp.linspace(-1, 1, size), jnp.linspace(0.5, 2, size))
        return eqx.tree_at(lambda p: (p.body.normalizer.mean, p.body.normalizer.variance), policy, statistics)

    return build()
