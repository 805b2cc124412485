"""Rewards on a common scale."""

import jax.numpy as jnp
import numpy as np
import pytest

from perdure.algorithm._reward_scale import RewardScale


def test_rewards_are_divided_by_the_deviation_of_the_discounted_return():
    reward, terminated = jnp.array([[1.0], [2.0], [3.0]]), jnp.array([[False], [True], [False]])
    scale = RewardScale(1).update(reward, terminated, discount=0.5)
    sums = np.array([1, 2, 2 * 0.5 + 3])  # an end forgets what was before it, as in Gymnasium
    assert float(scale(jnp.array(1.0))) == pytest.approx(1 / sums.std(), rel=1e-5)
