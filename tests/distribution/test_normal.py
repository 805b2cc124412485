"""Real vectors: densities worked out apart, extremes of the squash."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import random as jr

from perdure.distribution import Normal, SquashedNormal

MEAN, LOG_STD = np.array([0.5, -2.0], np.float32), np.array([-0.7, 1.1], np.float32)


def test_normal_agrees_with_scipy():
    distribution = Normal(jnp.asarray(MEAN), jnp.asarray(LOG_STD))
    reference = scipy.stats.norm(MEAN.astype(float), np.exp(LOG_STD.astype(float)))
    x = np.array([1.0, 4.0])
    assert distribution.log_prob(jnp.asarray(x, jnp.float32)) == pytest.approx(reference.logpdf(x).sum(), rel=1e-6)
    assert distribution.entropy() == pytest.approx(reference.entropy().sum(), rel=1e-6)
    draws = jax.vmap(lambda k: distribution.sample(key=k))(jr.split(jr.key(0), 5000))
    for i in range(2):
        sample = (np.asarray(draws[:, i]) - MEAN[i]) / np.exp(LOG_STD[i])
        assert scipy.stats.kstest(sample, "norm").pvalue > 1e-3


@pytest.mark.parametrize("u", [-30.0, -5.0, -0.1, 0.0, 0.7, 9.5, 40.0])
def test_squashed_density_is_computed_from_the_value_before_tanh(u):
    """In float64, log(1 - tanh(u)^2) = -2 log cosh(u), and log cosh(u) = logaddexp(u, -u) - log 2."""
    distribution = SquashedNormal(jnp.asarray(MEAN), jnp.asarray(LOG_STD))
    normal = scipy.stats.norm(MEAN.astype(float), np.exp(LOG_STD.astype(float))).logpdf(u).sum()
    expected = normal + 2 * 2 * (np.logaddexp(u, -u) - np.log(2))
    assert distribution.log_prob(jnp.full(2, u)) == pytest.approx(expected, rel=2e-6, abs=1e-5)
    assert np.isfinite(jax.grad(lambda x: distribution.log_prob(x))(jnp.full(2, u))).all()


def test_squashed_density_integrates_to_one():
    distribution = SquashedNormal(jnp.array([0.3]), jnp.array([-0.2]))
    u = jnp.linspace(-12, 12, 20_001)
    density = jnp.exp(jax.vmap(lambda x: distribution.log_prob(x[None]))(u))  # of a = tanh(u)
    assert np.trapezoid(density, np.tanh(np.asarray(u, float))) == pytest.approx(1.0, abs=1e-4)
