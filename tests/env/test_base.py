"""Auto-reset: a new episode to act on, the true end of the old one to learn from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.env import TimeLimit, TimeStep, autoreset, make, registered_environments, reset_where_done
from perdure.env.classic_control import CartPole

FALLING = jnp.asarray([0.0, 0.0, 0.2, 5.0], jnp.float32)  # 0.2 + 0.02 * 5 = 0.3 rad > 0.2094 rad: falls now
UPRIGHT = jnp.zeros(4, jnp.float32)
PUSH = jnp.asarray(1)


def test_auto_reset_begins_a_new_episode_and_keeps_the_true_final_observation() -> None:
    step = CartPole().step(FALLING, PUSH, key=jr.key(0))
    state, observation = autoreset(CartPole(), step, key=jr.key(1))
    assert bool(step.terminated)
    assert float(step.observation[2]) == pytest.approx(0.3)
    assert (abs(observation) <= 0.05).all()
    assert np.array_equal(state, CartPole().reset(key=jr.key(1))[0])


def test_auto_reset_changes_nothing_within_an_episode() -> None:
    step = CartPole().step(UPRIGHT, PUSH, key=jr.key(0))
    state, observation = autoreset(CartPole(), step, key=jr.key(1))
    assert not bool(step.terminated | step.truncated)
    assert np.array_equal(observation, step.observation)
    assert np.array_equal(state, step.state)


def test_auto_reset_after_a_truncation_sets_the_step_count_back() -> None:
    env = TimeLimit(CartPole(), 1)
    step = env.step(env.reset(key=jr.key(0))[0], PUSH, key=jr.key(1))
    state, _ = autoreset(env, step, key=jr.key(2))
    assert bool(step.truncated)
    assert not bool(step.terminated)
    assert int(step.state.steps) == 1
    assert int(state.steps) == 0


def test_auto_reset_decides_for_each_of_many_environments() -> None:
    states, actions = jnp.stack([FALLING, UPRIGHT]), jnp.ones(2, jnp.int32)
    step = jax.vmap(lambda s, a: CartPole().step(s, a, key=jr.key(0)))(states, actions)
    fresh = jax.vmap(lambda key: CartPole().reset(key=key))(jr.split(jr.key(1), 2))
    state, observation = jax.vmap(reset_where_done)(step, *fresh)
    assert np.array_equal(state[0], fresh[0][0])
    assert np.array_equal(state[1], step.state[1])
    assert np.array_equal(observation[1], step.observation[1])


def test_auto_reset_compiles_to_no_branch() -> None:
    env = make("CartPole-v1")
    step = jax.eval_shape(lambda key: env.step(env.reset(key=key)[0], PUSH, key=key), jr.key(0))
    jaxpr = str(jax.make_jaxpr(lambda step, key: autoreset(env, TimeStep(*step), key=key))(step, jr.key(0)))
    assert "cond[" not in jaxpr


@pytest.mark.parametrize("name", sorted(registered_environments()))
def test_reset_draws_all_its_random_numbers_at_once(name: str) -> None:
    jaxpr = str(jax.make_jaxpr(lambda key: make(name).reset(key=key))(jr.key(0)))
    assert jaxpr.count("random_bits[") == 1
    assert "random_split[" not in jaxpr
