"""What holds for every environment and every wrapper: spaces, dtypes, and one code path for one and for many."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.env import (
    AbstractEnv,
    ClipAction,
    FlattenObservation,
    Identity,
    NormalizeObservation,
    NormalizeReward,
    RescaleAction,
    TimeLimit,
    TransformObservation,
    autoreset,
    make,
    probe,
    registered_environments,
)
from perdure.env.classic_control import CartPole, MountainCar, Pendulum
from perdure.space import Box

PROBES = [probe.ConstantValue, probe.ValueFromObservation, probe.Discount, probe.TimeLimit]
PROBES += [probe.Act, probe.ActOnObservation, probe.Memory]
ENVIRONMENTS = [
    *(make(name) for name in registered_environments()),
    CartPole(kinematics_integrator="semi-implicit euler"),
    *(kind(continuous=continuous) for kind in PROBES for continuous in (False, True)),
    probe.Masked(),
    TimeLimit(probe.Masked(), 1),
    Identity(MountainCar()),
    ClipAction(Pendulum()),
    RescaleAction(Pendulum()),
    TransformObservation(MountainCar(), lambda x: 10 * x, Box(-12, 12, (2,))),
    FlattenObservation(MountainCar()),
    TimeLimit(NormalizeReward(NormalizeObservation(make("Acrobot-v1"))), 7),
]


def describe(env: AbstractEnv) -> str:
    inner = f"({describe(env.env)})" if hasattr(env, "env") else ""
    return type(env).__name__ + ("-continuous" if getattr(env, "continuous", False) else "") + inner


every_environment = pytest.mark.parametrize("env", ENVIRONMENTS, ids=describe)


def shapes_and_dtypes(tree: Any) -> Any:
    return jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), jax.eval_shape(lambda: tree))


def roll(env: AbstractEnv, key: Any, steps: int) -> Any:
    """Random legal actions; each row is the observation acted on, the action and the time step."""

    def one(carry: Any, key: Any) -> Any:
        state, observation = carry
        action_key, step_key, reset_key = jr.split(key, 3)
        action = env.action_space.sample(key=action_key, mask=env.action_mask(state))
        step = env.step(state, action, key=step_key)
        return autoreset(env, step, key=reset_key), (observation, action, step)

    first_key, key = jr.split(key)
    return jax.lax.scan(one, env.reset(key=first_key), jr.split(key, steps))


@every_environment
def test_states_and_flags_keep_their_shapes_and_dtypes(env: AbstractEnv) -> None:
    state, observation = env.reset(key=jr.key(0))
    step = env.step(state, env.action_space.sample(key=jr.key(1)), key=jr.key(2))
    assert shapes_and_dtypes((step.state, step.observation)) == shapes_and_dtypes((state, observation))
    assert shapes_and_dtypes(autoreset(env, step, key=jr.key(3))) == shapes_and_dtypes((state, observation))
    assert shapes_and_dtypes(step.reward) == ((), jnp.float32, False)
    assert shapes_and_dtypes((step.terminated, step.truncated)) == (((), jnp.bool_, False),) * 2
    assert shapes_and_dtypes(observation) == shapes_and_dtypes(env.observation_space.canonical())


@every_environment
def test_a_compiled_rollout_of_many_stays_in_the_spaces(env: AbstractEnv) -> None:
    _, (observation, action, step) = jax.jit(jax.vmap(lambda key: roll(env, key, 40)))(jr.split(jr.key(0), 4))
    for batch, space in (
        (observation, env.observation_space),
        (step.observation, env.observation_space),
        (action, env.action_space),
    ):
        flat = np.asarray(batch).reshape(-1, *np.shape(batch)[2:])
        assert all(space.contains(value) for value in flat)
    assert np.isfinite(step.reward).all()


@every_environment
def test_one_environment_and_many_agree(env: AbstractEnv) -> None:
    keys = jr.split(jr.key(5), 3)
    many = jax.jit(jax.vmap(lambda key: roll(env, key, 10)))(keys)
    one = roll(env, keys[1], 10)
    for a, b in zip(jax.tree.leaves(many), jax.tree.leaves(one), strict=True):
        np.testing.assert_allclose(np.asarray(a)[1], b, rtol=1e-4, atol=1e-5)


@every_environment
def test_the_same_key_gives_the_same_rollout_bit_for_bit(env: AbstractEnv) -> None:
    rollout = jax.jit(lambda key: roll(env, key, 20))
    first, second = jax.tree.leaves(rollout(jr.key(7))), jax.tree.leaves(rollout(jr.key(7)))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@every_environment
def test_a_mask_has_the_size_of_the_action_space_and_allows_something(env: AbstractEnv) -> None:
    mask = env.action_mask(env.reset(key=jr.key(0))[0])
    if mask is not None:
        assert mask.shape == (env.action_space.mask_size,)
        assert mask.any()
    assert (mask is None) == (env.unwrapped.name != "Masked")


@every_environment
def test_spaces_hash_so_that_they_can_be_static(env: AbstractEnv) -> None:
    assert hash(env.observation_space) == hash(env.observation_space)
    assert hash(env.action_space) == hash(env.action_space)
