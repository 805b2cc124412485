"""The off-policy loop: its buffer in place, learning rates, optimisers, memories."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.algorithm import DDPG, DQN
from perdure.algorithm._math import parameters_of
from perdure.algorithm._native import run_compiled
from perdure.env import make
from perdure.policy import (
    MLPDeterministicPolicy,
)
from tests.support.trainings import (
    TRAININGS,
    bits,
)


@pytest.mark.filterwarnings("ignore:Some donated buffers")  # the count of iterations, which is not given back
@pytest.mark.parametrize("name", ["DQN", "SAC"])
def test_no_step_copies_what_is_as_long_as_the_replay_buffer(name):
    training = TRAININGS[name]
    one = {"num_envs": 1, "num_steps": 1, "num_updates": 1}  # where XLA would take the loop over updates apart
    algorithm = dataclasses.replace(training.algorithm, **one, capacity=54_321)
    state = algorithm.init(training.env, training.policy(), key=jr.key(1))
    program = run_compiled.lower(algorithm, state, jnp.asarray(1), jnp.asarray(jnp.inf)).compile().compiled.as_text()
    assert "[54321,1,1]" in program
    assert [line for line in program.splitlines() if "[54321," in line and " copy(" in line] == []


@pytest.mark.parametrize("name", ["DQN", "TD3", "SAC"])
def test_off_policy_learning_rates_fall_to_zero(name):
    """TD3's policy takes every second step of its critics, and is there at the same time."""
    training = TRAININGS[name]
    before = training.algorithm.steps_before_learning
    algorithm = dataclasses.replace(training.algorithm, num_updates=4, anneal_timesteps=before + 60)
    start = algorithm.init(training.env, training.policy(), key=jr.key(0))
    nearly, done = algorithm.run(start, 54), algorithm.run(start, 60)
    with pytest.warns(UserWarning, match="anneal_timesteps="):
        then = algorithm.run(done, 60)
    trained = [[bits(parameters_of(net)) for net in (s.policy, s.learner.critics)] for s in (nearly, done, then)]
    assert trained[1] == trained[2]
    assert trained[0][0] != trained[1][0]


def test_the_optimiser_and_the_rate_of_critics_can_be_chosen():
    env = make("Pendulum-v1")
    policy = MLPDeterministicPolicy(env, hidden_sizes=(4,), key=jr.key(0))
    small = {"batch_size": 8, "capacity": 64, "learning_starts": 8}

    def train(**settings):
        algorithm = DDPG(**small, **settings)
        state = algorithm.run(algorithm.init(env, policy, key=jr.key(0)), 4)
        return state.learner.policy, state.learner.critics

    policy_slow, critics = train(learning_rate=1e-9, critic_learning_rate=1e-2)
    fresh_policy, fresh_critics = policy, train(learning_rate=1e-9)[1]
    for a, b in zip(jax.tree.leaves(policy_slow), jax.tree.leaves(fresh_policy), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    moved = [np.abs(a - b).max() for a, b in zip(jax.tree.leaves(critics), jax.tree.leaves(fresh_critics), strict=True)]
    assert max(moved) > 1e-2
    assert bits(train(optimizer_name="sgd")) != bits(train(optimizer_name="adam"))
    with pytest.raises(ValueError, match=r"DDPG\.optimizer_name = 'adma' is not known"):
        DDPG(optimizer_name="adma")
    with pytest.raises(ValueError, match="the policy is its own critic"):
        DQN(critic_learning_rate=1e-3)
