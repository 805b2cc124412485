"""What holds for every environment and every wrapper: spaces, dtypes, and one code path for one and for many."""

import functools
from collections.abc import Callable
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
    FrameStack,
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

PROBES = [probe.ConstantValue, probe.ValueFromObservation, probe.Discount, probe.Truncation]
PROBES += [probe.Act, probe.ActOnObservation, probe.ActOnMemory]
ENVIRONMENTS = [
    *(make(name) for name in registered_environments()),
    CartPole(kinematics_integrator="semi-implicit euler"),
    *(kind() for kind in PROBES),
    *(kind(continuous=True) for kind in (probe.Act, probe.ActOnObservation, probe.ActOnMemory)),
    probe.Masked(),
    TimeLimit(probe.Masked(), 1),
    FrameStack(TimeLimit(probe.Masked(), 3), 2),
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


STEPS = 40  # more than an episode of any probe


@functools.cache
def rollout(env: AbstractEnv) -> Callable[[Any], Any]:
    """Compiled: random legal actions in `len(keys)` environments for `STEPS` steps.

    Gives (environment, time) observations acted on, actions, masks and time steps.
    """

    def act(carry: Any, key: Any) -> Any:
        state, observation = carry
        action_key, step_key, reset_key = jr.split(key, 3)
        mask = env.action_mask(state)
        action = env.action_space.sample(key=action_key, mask=mask)
        step = env.step(state, action, key=step_key)
        return autoreset(env, step, key=reset_key), (observation, action, mask, step)

    def one(key: Any) -> Any:
        first_key, key = jr.split(key)
        return jax.lax.scan(act, env.reset(key=first_key), jr.split(key, STEPS))[1]

    return jax.jit(jax.vmap(one))


def avals(tree: Any) -> Any:
    return jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), tree)


@every_environment
def test_states_rewards_and_flags_keep_their_shapes_and_dtypes(env: AbstractEnv) -> None:
    state, observation = jax.eval_shape(lambda key: env.reset(key=key), jr.key(0))
    action = jax.eval_shape(lambda key: env.action_space.sample(key=key), jr.key(0))
    step = jax.eval_shape(lambda s, a, key: env.step(s, a, key=key), state, action, jr.key(0))
    again = jax.eval_shape(lambda step, key: autoreset(env, step, key=key), step, jr.key(0))
    assert avals((step.state, step.observation)) == avals((state, observation))
    assert avals(again) == avals((state, observation))
    assert avals(step.reward) == ((), jnp.float32, False)
    assert avals((step.terminated, step.truncated)) == (((), jnp.bool_, False),) * 2
    assert avals(observation)[:2] == avals(jax.eval_shape(env.observation_space.canonical))[:2]


@every_environment
def test_compiled_rollouts_stay_in_the_spaces_and_repeat_bit_for_bit(env: AbstractEnv) -> None:
    keys = jr.split(jr.key(0, impl="unsafe_rbg"), 4)  # compiles several times faster than the default generator
    rolled = rollout(env)(keys)
    observation, action, mask, step = rolled
    for batch, space in (
        (observation, env.observation_space),
        (step.observation, env.observation_space),
        (action, env.action_space),
    ):
        assert all(space.contains(value) for value in np.asarray(batch).reshape(-1, *np.shape(batch)[2:]))
    assert np.isfinite(step.reward).all()
    if mask is not None:
        assert mask.shape[2:] == (env.action_space.mask_size,)
        assert mask.any(-1).all()
    repeated = jax.tree.leaves(rollout(env)(keys))
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(rolled), repeated, strict=True))


@every_environment
def test_whether_there_is_a_mask_depends_on_the_environment_alone(env: AbstractEnv) -> None:
    state, _ = jax.eval_shape(lambda key: env.reset(key=key), jr.key(0))
    mask = jax.eval_shape(env.action_mask, state)
    assert (mask is None) == (not isinstance(env.unwrapped, probe.Masked))


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_one_environment_and_many_agree(name: str) -> None:
    keys, env = jr.split(jr.key(5), 4), make(name)
    many = jax.tree.leaves(rollout(env)(keys))
    one = jax.tree.leaves(rollout(env)(keys[1:2]))
    for a, b in zip(many, one, strict=True):
        np.testing.assert_allclose(np.asarray(a)[1], b[0], rtol=1e-4, atol=1e-4)


@every_environment
def test_spaces_hash_so_that_they_can_be_static(env: AbstractEnv) -> None:
    assert hash(env.observation_space) == hash(env.observation_space)
    assert hash(env.action_space) == hash(env.action_space)
