"""gSDE: density by hand and by samples, one draw held, the mode untouched."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.distribution import Normal, SquashedNormal, StateDependentNormal

MEAN = jnp.array([0.5, -1.0])
FEATURES = jnp.array([1.0, -2.0, 0.5])
LOG_STD = jnp.log(jnp.array([[0.1, 1.0], [0.5, 0.2], [2.0, 0.3]]))


def test_the_variance_is_that_of_the_features_times_the_matrix():
    """1 * 0.01 + 4 * 0.25 + 0.25 * 4 = 2.01 and 1 * 1 + 4 * 0.04 + 0.25 * 0.09 = 1.1825."""
    marginal = StateDependentNormal(MEAN, FEATURES, LOG_STD).marginal()
    np.testing.assert_allclose(jnp.exp(2 * marginal.log_std), [2.01, 1.1825], rtol=1e-4)


@pytest.mark.parametrize(("squash", "plain"), [(False, Normal), (True, SquashedNormal)])
def test_log_prob_and_entropy_are_those_of_the_marginal(squash, plain):
    distribution = StateDependentNormal(MEAN, FEATURES, LOG_STD, squash)
    expected = plain(MEAN, 0.5 * jnp.log(jnp.array([2.01, 1.1825])))
    value = jnp.array([0.3, 0.7])
    np.testing.assert_allclose(distribution.log_prob(value), expected.log_prob(value), rtol=1e-4)
    np.testing.assert_allclose(distribution.entropy(), expected.entropy(), rtol=1e-4)


def test_samples_have_the_mean_and_variance_that_the_density_says():
    distribution = StateDependentNormal(MEAN, FEATURES, LOG_STD)
    draws = np.asarray(jax.vmap(lambda k: distribution.sample(key=k))(jr.split(jr.key(0), 40_000)))
    np.testing.assert_allclose(draws.mean(0), MEAN, atol=0.03)  # four standard errors
    np.testing.assert_allclose(draws.var(0), [2.01, 1.1825], rtol=0.03)
    np.testing.assert_allclose(np.corrcoef(draws.T)[0, 1], 0, atol=0.02)


def test_one_draw_is_a_function_of_the_state():
    """The same noise in the same state is the same action; twice the features, twice the deviation."""
    one = StateDependentNormal(MEAN, FEATURES, LOG_STD)
    two = StateDependentNormal(MEAN, 2 * FEATURES, LOG_STD)
    noise = one.noise(key=jr.key(0))
    assert noise.shape == (3, 2)
    np.testing.assert_allclose(two.from_noise(noise) - MEAN, 2 * (one.from_noise(noise) - MEAN), rtol=1e-5)
    by_hand = MEAN + FEATURES @ (jnp.exp(LOG_STD) * noise)
    np.testing.assert_allclose(one.from_noise(noise), by_hand, rtol=1e-6)


def test_the_mode_knows_of_no_noise():
    for squash in (False, True):
        np.testing.assert_array_equal(StateDependentNormal(MEAN, FEATURES, LOG_STD, squash).mode(), MEAN)


def test_features_of_zero_still_have_a_density():
    distribution = StateDependentNormal(MEAN, jnp.zeros(3), LOG_STD)
    gradient = jax.grad(lambda log_std: StateDependentNormal(MEAN, jnp.zeros(3), log_std).log_prob(MEAN))(LOG_STD)
    assert jnp.isfinite(distribution.log_prob(MEAN))
    assert jnp.isfinite(gradient).all()
