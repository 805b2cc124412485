"""Losses of A2C and REINFORCE worked out on paper."""

import jax.numpy as jnp
import pytest

from perdure.algorithm import A2C, REINFORCE
from perdure.algorithm._on_policy import Evaluation, RolloutBatch

LOG_PROB, VALUE, TARGET, ENTROPY = [-1.0, -2.0], [1.0, 2.0], [3.0, 2.0], [0.5, 0.7]


def parts(algorithm, advantage):
    """Loss and metrics of two steps."""
    zero = jnp.zeros(2)
    batch = RolloutBatch(
        observation=zero, action=zero, action_mask=None, policy_state=None, begins=zero > 0, log_prob=zero, value=zero,
        advantage=jnp.array(advantage), target=jnp.array(TARGET),
    )  # fmt: skip
    new = Evaluation(value=jnp.array(VALUE), log_prob=jnp.array(LOG_PROB), entropy=jnp.array(ENTROPY))
    return algorithm.loss(new, batch, jnp.array(0))


def test_a2c_by_hand():
    """Policy -(-1 x 2 + -2 x -3) / 2 = -2; value 0.5 x (2^2 + 0) / 2 = 1; entropy 0.6: -2 + 0.5 x 1 - 0.1 x 0.6."""
    loss, metrics = parts(A2C(entropy_weight=0.1, value_weight=0.5, normalize_advantage=False), [2.0, -3.0])
    assert metrics["policy_loss"] == pytest.approx(-2.0)
    assert metrics["value_loss"] == pytest.approx(1.0)
    assert loss == pytest.approx(-2.0 + 0.5 - 0.06)


def test_reinforce_by_hand():
    """As above without the entropy."""
    loss, _ = parts(REINFORCE(value_weight=0.5, normalize_advantage=False), [2.0, -3.0])
    assert loss == pytest.approx(-1.5)


@pytest.mark.parametrize("algorithm", [A2C(normalize_advantage=True), REINFORCE()], ids=["A2C", "REINFORCE"])
def test_advantages_of_a_rollout_have_mean_zero_and_deviation_one(algorithm):
    """Advantages 4 and 0 become 1 and -1: -(-1 x 1 + -2 x -1) / 2 = -0.5."""
    _, metrics = parts(algorithm, [4.0, 0.0])
    assert metrics["policy_loss"] == pytest.approx(-0.5, abs=1e-4)
