"""Arithmetic by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random as jr

from perdure.algorithm import gae, n_step, polyak, quantile_huber, td_target
from perdure.algorithm._rollout import Transition


def advantages(reward, value, next_value, terminated, truncated, discount=0.5, gae_lambda=0.8):
    arrays = [jnp.array(x, jnp.float32) for x in (reward, value, next_value)]
    flags = [jnp.array(x, bool) for x in (terminated, truncated)]
    return gae(*arrays, *flags, discount=discount, gae_lambda=gae_lambda).tolist()


def test_gae_adds_up_discounted_errors():
    # delta_1 = 1 + 0.5 * 0 - 0 = 1; delta_0 = 1 + 0.5 * 0 - 0 = 1; A_1 = 1; A_0 = 1 + 0.5 * 0.8 * 1 = 1.4
    assert advantages([1, 1], [0, 0], [0, 0], [0, 0], [0, 0]) == pytest.approx([1.4, 1.0])


def test_a_terminal_state_is_worth_nothing():
    # delta_0 = 2 + 0 - 3 = -1: the successor's value of 10 does not count, nor does anything after
    assert advantages([2, 5], [3, 0], [10, 0], [1, 0], [0, 0]) == pytest.approx([-1.0, 5.0])


def test_a_time_limit_keeps_the_bootstrap_but_cuts_the_trace():
    # delta_0 = 2 + 0.5 * 10 - 3 = 4; the next episode's advantage of 5 does not flow back
    assert advantages([2, 5], [3, 0], [10, 0], [0, 0], [1, 0]) == pytest.approx([4.0, 5.0])


def test_both_flags_at_once_are_an_end():
    assert advantages([2, 5], [3, 0], [10, 0], [1, 0], [1, 0]) == pytest.approx([-1.0, 5.0])


def test_td_target_bootstraps_unless_terminated_and_stops_gradients():
    reward, next_value = jnp.array([1.0, 1.0]), jnp.array([4.0, 4.0])
    target = td_target(reward, next_value, jnp.array([False, True]), discount=0.25)
    assert target.tolist() == [2.0, 1.0]
    gradient = jax.grad(lambda v: td_target(reward, v, jnp.array([False, True]), discount=0.25).sum())(next_value)
    assert gradient.tolist() == [0, 0]


def test_polyak_copies_at_one_and_keeps_at_zero_to_the_bit():
    target, online = {"w": jnp.array([0.1, 1e-8])}, {"w": jnp.array([0.3, 1e8])}
    assert (polyak(target, online, 1.0)["w"] == online["w"]).all()
    assert (polyak(target, online, 0.0)["w"] == target["w"]).all()
    np.testing.assert_allclose(polyak(target, online, 0.25)["w"], [0.15, 2.5e7], rtol=1e-6)


def window(reward, terminated, truncated):
    """Consecutive steps of one environment, whose observations are 0, 1, 2, ..."""
    steps = jnp.arange(len(reward), dtype=jnp.float32)
    reward, flags = jnp.array(reward, jnp.float32), [jnp.array(x, bool) for x in (terminated, truncated)]
    return Transition(steps, steps, reward, steps + 1, *flags, None, None, None, None)


@pytest.mark.parametrize(
    ("terminated", "truncated", "reward", "next_observation", "discount", "ends"),
    [
        ([0, 0, 0], [0, 0, 0], 1 + 2 / 2 + 4 / 4, 3, 1 / 8, False),
        ([0, 1, 0], [0, 0, 0], 1 + 2 / 2, 2, 1 / 4, True),  # the third reward is another episode's
        ([0, 0, 0], [0, 1, 0], 1 + 2 / 2, 2, 1 / 4, False),  # a time limit: the same, but it goes on from there
        ([0, 0, 0], [1, 0, 0], 1, 1, 1 / 2, False),
        ([0, 0, 1], [0, 0, 0], 3, 3, 1 / 8, True),
        ([0, 1, 1], [1, 0, 0], 1, 1, 1 / 2, False),  # a later end is none of its business
    ],
)
def test_n_step_returns_stop_where_the_episode_does(terminated, truncated, reward, next_observation, discount, ends):
    step, after = n_step(window([1, 2, 4], terminated, truncated), discount=0.5)
    assert (step.observation, step.reward, step.next_observation) == (0, reward, next_observation)
    assert (after, step.terminated) == (discount, ends)


def test_quantile_huber_by_hand():
    # two quantiles, tau = 1/4 and 3/4, at 0 and 1; one sample at 3: delta = 3 and 2, Huber = 2.5 and 1.5
    assert quantile_huber(jnp.array([0.0, 1.0]), jnp.array([3.0])).tolist() == [0.25 * 2.5, 0.75 * 1.5]
    # samples at 0.5 and -2: for tau = 1/4 at 0: delta = 0.5 (1/8, above) and -2 (1.5, below, so 1 - tau)
    low = quantile_huber(jnp.array([0.0, 0.0]), jnp.array([0.5, -2.0]))[0]
    assert low == pytest.approx((0.25 * 0.125 + 0.75 * 1.5) / 2)


def test_quantile_huber_and_its_gradient_are_those_of_the_formula():
    def formula(quantiles, target):
        tau = (jnp.arange(5) + 0.5) / 5
        delta = target[None, :] - quantiles[:, None]
        return (jnp.abs(tau[:, None] - (delta < 0)) * optax.huber_loss(delta)).mean(1)

    def loss_and_gradient(function):
        return jax.value_and_grad(lambda q: (weight * jax.vmap(function)(q, target)).sum())(quantiles)

    quantiles, target, weight = (
        3 * jr.normal(k, (8, n)) for k, n in zip(jr.split(jr.key(0), 3), (5, 7, 5), strict=True)
    )
    (loss, gradient), (wanted_loss, wanted_gradient) = map(loss_and_gradient, (quantile_huber, formula))
    np.testing.assert_allclose(loss, wanted_loss, rtol=1e-5)
    np.testing.assert_allclose(gradient, wanted_gradient, atol=1e-5)
    assert (jnp.abs(wanted_gradient) > 0.01).mean() > 0.9


def test_quantile_regression_finds_the_quantiles_of_its_samples():
    samples = jnp.linspace(0, 100, 1001)
    quantiles = jnp.full(4, 50.0)
    gradient = jax.jit(jax.grad(lambda q: quantile_huber(q, samples).sum()))
    for _ in range(300):
        quantiles -= 5 * gradient(quantiles)
    np.testing.assert_allclose(quantiles, [12.5, 37.5, 62.5, 87.5], atol=1)
