"""Choices: log-probabilities worked out apart, masks, extremes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax import random as jr

from perdure._core import set_debug
from perdure.distribution import Bernoulli, Categorical, MultiCategorical

LOGITS = np.array([0.3, -1.2, 2.0, 0.0], np.float32)


def frequencies(distribution, choices, count=20_000):
    draws = jax.vmap(lambda k: distribution.sample(key=k))(jr.split(jr.key(0), count))
    return np.bincount(np.asarray(draws), minlength=choices) / count


def test_log_prob_and_entropy_agree_with_scipy():
    p = scipy.special.softmax(LOGITS.astype(float))
    distribution = Categorical(jnp.asarray(LOGITS))
    for i in range(4):
        assert distribution.log_prob(jnp.array(i)) == pytest.approx(np.log(p[i]), abs=1e-6)
    assert distribution.entropy() == pytest.approx(scipy.stats.entropy(p), abs=1e-6)
    assert distribution.mode() == 2


def test_samples_follow_the_probabilities():
    p = scipy.special.softmax(LOGITS.astype(float))
    counts = frequencies(Categorical(jnp.asarray(LOGITS)), 4) * 20_000
    assert scipy.stats.chisquare(counts, p * 20_000).pvalue > 1e-3


def test_barred_choices_have_no_probability_and_the_others_share_it():
    mask = jnp.array([True, False, False, True])
    distribution = Categorical(jnp.asarray(LOGITS), mask)
    p = scipy.special.softmax([0.3, 0.0])  # the two that are left
    assert distribution.mode() == 0
    assert distribution.log_prob(jnp.array(0)) == pytest.approx(np.log(p[0]), abs=1e-6)
    assert distribution.log_prob(jnp.array(2)) < -1e30
    assert distribution.entropy() == pytest.approx(scipy.stats.entropy(p), abs=1e-6)
    counts = frequencies(distribution, 4)
    assert counts[1] == counts[2] == 0


def test_an_all_false_mask_allows_the_first_choice_alone():
    distribution = Categorical(jnp.asarray(LOGITS), jnp.zeros(4, bool))
    assert distribution.mode() == 0
    assert frequencies(distribution, 4, 100)[0] == 1
    assert distribution.log_prob(jnp.array(0)) == 0


def test_an_all_false_mask_is_an_error_in_debug():
    set_debug(True)
    try:
        with pytest.raises(Exception, match="action mask is False for every action"):
            jax.block_until_ready(jax.jit(lambda m: Categorical(jnp.asarray(LOGITS), m).mode())(jnp.zeros(4, bool)))
    finally:
        set_debug(False)


@pytest.mark.parametrize("logits", [[1e4, -1e4], [-1e30, 1e30], [3e38, -3e38], [0.0, 0.0]])
def test_extreme_logits_give_finite_entropy_and_gradients(logits):
    def total(x, mask=None):
        d = Categorical(x, mask)
        return d.entropy() + jnp.where(d.mode() == 0, d.log_prob(jnp.array(0)), d.log_prob(jnp.array(1)))

    for mask in (None, jnp.array([True, False]), jnp.array([False, True])):
        value, gradient = jax.value_and_grad(total)(jnp.array(logits), mask)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


def test_gradient_does_not_reach_barred_logits():
    mask = jnp.array([True, True, False, False])
    gradient = jax.grad(lambda x: Categorical(x, mask).log_prob(jnp.array(1)))(jnp.asarray(LOGITS))
    p = scipy.special.softmax(LOGITS[:2].astype(float))
    np.testing.assert_allclose(gradient, [-p[0], 1 - p[1], 0, 0], atol=1e-6)


def test_several_choices_are_independent():
    logits, nvec = jnp.array([0.0, 1.0, -1.0, 0.5, 2.0]), (2, 3)
    distribution = MultiCategorical(logits, nvec)
    first, second = scipy.special.softmax([0.0, 1.0]), scipy.special.softmax([-1.0, 0.5, 2.0])
    assert distribution.log_prob(jnp.array([1, 0])) == pytest.approx(np.log(first[1] * second[0]), abs=1e-6)
    assert distribution.entropy() == pytest.approx(scipy.stats.entropy(first) + scipy.stats.entropy(second), abs=1e-6)
    assert distribution.mode().tolist() == [1, 2]
    masked = MultiCategorical(logits, nvec, jnp.array([True, False, True, True, False]))
    assert masked.mode().tolist() == [0, 1]
    draws = jax.vmap(lambda k: masked.sample(key=k))(jr.split(jr.key(1), 500))
    assert set(map(tuple, draws.tolist())) == {(0, 0), (0, 1)}


def test_bits_agree_with_scipy_and_obey_masks():
    logits = jnp.array([0.0, 3.0, -2.0])
    distribution = Bernoulli(logits)
    p = scipy.special.expit([0.0, 3.0, -2.0])
    expected = scipy.stats.bernoulli.logpmf([1, 0, 0], p).sum()
    assert distribution.log_prob(jnp.array([1, 0, 0], jnp.int8)) == pytest.approx(expected, abs=1e-6)
    assert distribution.entropy() == pytest.approx(scipy.stats.bernoulli.entropy(p).sum(), abs=1e-6)
    assert distribution.mode().tolist() == [0, 1, 0]
    assert distribution.mode().dtype == jnp.int8
    only_ones = Bernoulli(logits, jnp.array([False, True, True, True, False, True]))  # bit 1 is free
    draws = jax.vmap(lambda k: only_ones.sample(key=k))(jr.split(jr.key(2), 500))
    assert (draws[:, [0, 2]] == 1).all()
    assert 0 < draws[:, 1].mean() < 1
