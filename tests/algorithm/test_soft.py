"""Soft actor-critics: targets and losses worked out on paper, the temperature, and the actions that each is for."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.algorithm import SAC, TQC, DiscreteSAC, _discrete_sac, _sac, _tqc
from perdure.algorithm._soft import Soft
from perdure.policy import MLPSACPolicy
from perdure.space import Box
from tests.support.policy_kinds import Spaces
from tests.support.trainings import CARTPOLE, OFF_POLICY, PENDULUM, new


def test_the_temperature_rises_where_the_policy_is_not_random_enough():
    algorithm, policy = new(SAC, MLPSACPolicy, PENDULUM, **OFF_POLICY)
    state = algorithm.init(PENDULUM, policy, key=jr.key(0))
    batch = algorithm.draw(state, None, key=jr.key(1))[1]
    for entropy, rises in ((-1.5, True), (-0.5, False)):  # the target is minus the number of action entries: -1
        log_temperature, _ = algorithm.temperature_step(state.learner, batch, jnp.full(batch.reward.shape, entropy))
        assert (log_temperature > 0) == rises


@pytest.mark.parametrize("algorithm", [SAC(), TQC()])
def test_soft_actors_of_choices_are_for_discrete_sac(algorithm):
    with pytest.raises(TypeError, match=r"action_space is Discrete.* needs a Box. Use DiscreteSAC"):
        algorithm.init(CARTPOLE, MLPSACPolicy(CARTPOLE, key=jr.key(0)), key=jr.key(0))


LOG_PROB, ALPHA = -0.7, 2.0
NOISE = jnp.zeros((16, 1))


def case(monkeypatch, module, algorithm, env, values):
    """`(algorithm, soft, batch)`: reward 1, discount 0.5, the second step terminates; critics and policy say the same each step.

    `values` are those of each critic (critics, outputs).
    """
    state = algorithm.init(env, MLPSACPolicy(env, hidden_sizes=(2,), key=jr.key(0)), key=jr.key(0))
    batch = algorithm.draw(state, None, key=jr.key(1))[1]
    size = batch.reward.size
    batch = dataclasses.replace(
        batch, reward=jnp.ones(size), discount=jnp.full(size, 0.5), terminated=jnp.arange(size) == 1
    )
    each = jnp.broadcast_to(jnp.asarray(values, jnp.float32)[:, None], (len(values), size, len(values[0])))
    monkeypatch.setattr(module, "values_of", lambda *_: each)
    if hasattr(module, "sampled"):
        monkeypatch.setattr(module, "sampled", lambda *_: (jnp.zeros((size, 1)), jnp.full(size, LOG_PROB)))
    else:
        p = jnp.broadcast_to(jnp.array([0.25, 0.75]), (size, 2))
        monkeypatch.setattr(module, "probabilities", lambda *_: (p, jnp.log(p)))
    return algorithm, Soft(state.policy, state.learner.critics, jnp.float32(ALPHA)), batch


def test_sac_by_hand(monkeypatch):
    algorithm, soft, batch = case(monkeypatch, _sac, SAC(**OFF_POLICY), PENDULUM, [[3.0], [5.0]])
    y = algorithm.targets(soft, batch, NOISE)
    np.testing.assert_allclose(y[:3], [3.2, 1.0, 3.2], atol=1e-6)  # 1 + 0.5 (min(3, 5) + 2 x 0.7); 1 at an end
    losses, q = algorithm.critic_losses(soft.critics, jnp.full(y.shape, 4.0), batch)
    np.testing.assert_allclose([losses[0], q[0]], [1.0, 4.0], atol=1e-6)  # 0.5 (1^2 + 1^2)
    losses, entropy = algorithm.policy_losses(soft, batch, NOISE)
    np.testing.assert_allclose([losses[0], entropy[0]], [-4.4, 0.7], atol=1e-6)  # 2 x -0.7 - 3


def test_tqc_by_hand(monkeypatch):
    algorithm = TQC(**OFF_POLICY, num_quantiles=3, num_dropped=1)
    algorithm, soft, batch = case(monkeypatch, _tqc, algorithm, PENDULUM, [[1.0, 2.0, 9.0], [0.0, 3.0, 8.0]])
    y = algorithm.targets(soft, batch, NOISE)
    np.testing.assert_allclose(sorted(y[0]), [1.7, 2.2, 2.7, 3.2], atol=1e-6)  # 1 + 0.5 ({0, 1, 2, 3} + 1.4)
    np.testing.assert_allclose(y[1], 1.0)
    losses, entropy = algorithm.policy_losses(soft, batch, NOISE)
    np.testing.assert_allclose([losses[0], entropy[0]], [-1.4 - 23 / 6, 0.7], atol=1e-6)  # the mean of all six


def test_discrete_sac_by_hand(monkeypatch):
    algorithm, soft, batch = case(monkeypatch, _discrete_sac, DiscreteSAC(**OFF_POLICY), CARTPOLE, [[1, 4], [2, 3]])
    y = algorithm.targets(soft, batch, NOISE)
    # the smaller of each: 1 and 3; 0.25 (1 + 2 log 4) + 0.75 (3 + 2 log 4/3) = 3.624670
    np.testing.assert_allclose(y[:2], [1 + 0.5 * 3.624670, 1.0], atol=1e-5)
    losses, entropy = algorithm.policy_losses(soft, batch, NOISE)
    np.testing.assert_allclose([losses[0], entropy[0]], [-3.624670, 0.562335], atol=1e-5)


def test_the_entropy_that_is_wanted_is_that_of_the_source():
    three = Spaces(CARTPOLE.observation_space, Box(-1.0, 1.0, (3,)))
    assert SAC().usual_target_entropy(MLPSACPolicy(three, hidden_sizes=(2,), key=jr.key(0))) == -3
    two = MLPSACPolicy(CARTPOLE, hidden_sizes=(2,), key=jr.key(0))
    assert DiscreteSAC().usual_target_entropy(two) == pytest.approx(0.5 * math.log(2))
