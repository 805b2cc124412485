"""Orders for minibatches are permutations, and favour no position, pair or distance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import random as jr

from perdure.algorithm._shuffle import permutation


@pytest.mark.parametrize("size", [1, 2, 7, 16, 100, 512, 4096])
def test_every_number_comes_once(size):
    orders = jax.vmap(lambda k: permutation(size, key=k))(jr.split(jr.key(0), 20))
    assert (jnp.sort(orders, axis=1) == jnp.arange(size)).all()
    assert size < 16 or len(set(map(tuple, orders.tolist()))) == 20


@pytest.mark.parametrize("size", [64, 100, 512])
def test_positions_neighbours_and_distances_are_uniform(size):
    count = 20_000
    orders = np.asarray(jax.jit(jax.vmap(lambda k: permutation(size, key=k)))(jr.split(jr.key(1), count)))
    for i in (0, 1, size // 2, size - 1):  # where a number lands
        assert scipy.stats.chisquare(np.bincount(orders[:, i], minlength=size)).pvalue > 1e-4
    for i, j in ((0, 1), (3, size - 1), (size // 2, size // 2 + 1)):  # how far apart two of them land: never 0
        distance = np.bincount((orders[:, i] - orders[:, j]) % size, minlength=size)
        assert distance[0] == 0
        assert scipy.stats.chisquare(distance[1:]).pvalue > 1e-4
    first_half = (orders[:, : size // 2] < size // 2).sum(1)  # as many as a fair draw without replacement has
    expected = scipy.stats.hypergeom(size, size // 2, size // 2)
    assert abs(first_half.mean() - expected.mean()) < 4 * expected.std() / count**0.5
    assert first_half.var() == pytest.approx(expected.var(), rel=0.1)
