"""Environments of gymnax."""

import warnings
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from jax import random as jr

from perdure.algorithm import PPO
from perdure.env.adapter import GymnaxEnv, from_gymnax
from perdure.policy import MLPActorCriticPolicy
from perdure.space import Box, Discrete

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own imports
    gymnax = pytest.importorskip("gymnax", reason="the extra `gymnax` is not installed")


def test_spaces_are_ours():
    env = from_gymnax("CartPole-v1")
    assert env.action_space == Discrete(2)
    assert isinstance(env.observation_space, Box)
    assert env.name == "CartPole-v1"
    assert from_gymnax("Pendulum-v1").action_space == Box(-2, 2, (1,))


def test_steps_are_those_of_gymnax():
    env = from_gymnax("CartPole-v1")
    state, observation = env.reset(key=jr.key(0))
    task, params = gymnax.make("CartPole-v1")
    expected, theirs = task.reset_env(jr.key(0), params)
    assert jnp.array_equal(observation, expected)
    for i in range(10):
        step = env.step(state, jnp.asarray(i % 2), key=jr.key(i))
        expected, theirs, reward, _, _ = task.step_env(jr.key(i), theirs, i % 2, params)
        assert jnp.allclose(step.observation, expected)
        assert step.reward == reward
        state = step.state


def test_its_time_limit_truncates_and_its_falls_terminate():
    def first_end(env, action):
        state, _ = env.reset(key=jr.key(0))
        for i in range(200):
            step = env.step(state, jnp.asarray(action(i)), key=jr.key(i))
            state = step.state
            if step.terminated or step.truncated:
                return i + 1, bool(step.terminated), bool(step.truncated)
        raise AssertionError("no end")

    assert first_end(from_gymnax("CartPole-v1", max_steps_in_episode=5), lambda i: i % 2) == (5, False, True)
    steps, terminated, truncated = first_end(from_gymnax("CartPole-v1"), lambda i: 1)
    assert steps < 20
    assert (terminated, truncated) == (True, False)
    assert first_end(from_gymnax("MountainCar-v0", max_steps_in_episode=7), lambda i: i % 2) == (7, False, True)


def test_the_two_flags_of_gymnax_1_are_taken_as_they_are():
    """A stand-in with the step signature of 1.x: observation, state, reward, terminated, truncated, info."""
    task, params = gymnax.make("CartPole-v1")

    def step_env(key, state, action, params):
        observation, state, reward, _, info = task.step_env(key, state, action, params)
        return observation, state, reward, jnp.asarray(False), jnp.asarray(True), info

    newer = SimpleNamespace(
        name=task.name, reset_env=task.reset_env, step_env=step_env,
        observation_space=task.observation_space, action_space=task.action_space,
    )  # fmt: skip
    env = GymnaxEnv(newer, params)
    state, _ = env.reset(key=jr.key(0))
    step = env.step(state, jnp.asarray(0), key=jr.key(0))
    assert (bool(step.terminated), bool(step.truncated)) == (False, True)


@pytest.mark.filterwarnings("ignore:scatter inputs have incompatible types:FutureWarning")  # its own
@pytest.mark.parametrize("name", ["CartPole-v1", "Catch-bsuite"])
def test_algorithms_train_on_it(name):
    env = from_gymnax(name)
    policy = MLPActorCriticPolicy(env, hidden_sizes=(8,), key=jr.key(0))
    algorithm = PPO(num_envs=2, num_steps=16, num_minibatches=1)
    state = algorithm.run(algorithm.init(env, policy, key=jr.key(0)), 64)
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(state.policy) if x.dtype.kind == "f")
