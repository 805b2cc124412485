"""Arithmetic by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perdure.algorithm import gae, polyak, td_target


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
