"""Environments of brax."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.env import TimeLimit
from perdure.env.adapter import from_brax
from perdure.space import Box

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own imports
    brax_envs = pytest.importorskip("brax.envs", reason="the extra `brax` is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["generalized", "mjx"])
def test_steps_are_those_of_brax_and_a_time_limit_truncates(backend):
    if backend == "mjx":
        pytest.importorskip("mujoco.mjx", reason="mujoco-mjx is not installed")
    env = from_brax("inverted_pendulum", max_episode_steps=3, backend=backend)
    assert isinstance(env, TimeLimit)
    assert env.observation_space == Box(-np.inf, np.inf, (4,))
    assert env.action_space == Box(-1, 1, (1,))
    task = brax_envs.get_environment("inverted_pendulum", backend=backend)
    theirs, their_step, our_step = jax.jit(task.reset)(jr.key(0)), jax.jit(task.step), jax.jit(env.step)
    state, observation = env.reset(key=jr.key(0))
    assert jnp.allclose(observation, theirs.obs)
    for i in range(3):
        step = our_step(state, jnp.full(1, 0.1), key=jr.key(i))
        theirs, state = their_step(theirs, jnp.full(1, 0.1)), step.state
        assert jnp.allclose(step.observation, theirs.obs, atol=1e-5)
        assert jnp.allclose(step.reward, theirs.reward)
        assert (bool(step.terminated), bool(step.truncated)) == (False, i == 2)


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"name='nope' is no environment of brax\. Use one of ant"):
        from_brax("nope")
