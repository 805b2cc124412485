"""What every algorithm offers: exact resume, the same bits in every process, budgets."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax import random as jr

from tests.support.trainings import (
    CARTPOLE,
    TRAININGS,
    bits,
    new_dqn,
    new_ppo,
)

BOTH = pytest.mark.parametrize("new", [new_ppo, new_dqn], ids=["PPO", "DQN"])


@pytest.mark.parametrize("name", TRAININGS)
def test_resuming_is_exact(name):
    training = TRAININGS[name]
    algorithm = training.algorithm
    state = algorithm.init(training.env, training.policy(), key=jr.key(1))
    weak = [getattr(x, "weak_type", False) for x in jax.tree.leaves(state)]  # it would compile again once they are not
    assert not any(weak)
    n = 7 * algorithm.steps_per_iteration
    once, twice = algorithm.run(state, 2 * n), algorithm.run(algorithm.run(state, n), n)
    assert bits(once) == bits(twice)
    assert bits(once) != bits(state)
    assert algorithm.steps_taken(once) == algorithm.steps_before_learning + 2 * n
    assert once.policy.normalizer.count == algorithm.steps_taken(once)  # every observation once
    for critic in getattr(getattr(once, "learner", None), "critics", None) or ():  # they see what the policy sees
        np.testing.assert_array_equal(critic.normalizer.mean, once.policy.normalizer.mean)


@BOTH
def test_run_leaves_the_state_and_the_policy_that_went_in_valid(new):
    algorithm, policy = new()
    state = algorithm.init(CARTPOLE, policy, key=jr.key(1))
    before = bits(state), bits(policy)
    algorithm.run(state, 1)
    algorithm.learn(CARTPOLE, policy, total_timesteps=100, key=jr.key(2), callbacks=())
    assert (bits(state), bits(policy)) == before


@BOTH
def test_two_processes_learn_the_same_bits(new):
    program = f"""
import sys; sys.path[:0] = {sys.path!r}
import hashlib, json
from jax import random as jr
from tests.support.trainings import *
algorithm, policy = {new.__name__}()
state = algorithm.run(algorithm.init(CARTPOLE, policy, key=jr.key(1)), 200)
print(json.dumps([hashlib.sha256(b).hexdigest() for b in bits(state)]))
"""
    compiles_anew = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**compiles_anew, "PYTHONHASHSEED": seed},
        )
        for seed in "12"
    ]
    assert json.loads(runs[0].stdout) == json.loads(runs[1].stdout)


def test_a_budget_below_one_iteration_is_refused():
    algorithm, policy = new_dqn()
    with pytest.raises(ValueError, match="learns for the first time after 30"):
        algorithm.learn(CARTPOLE, policy, total_timesteps=29, key=jr.key(0))
