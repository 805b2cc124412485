"""Q-learning: targets, losses and schedules worked out on paper, and the target network."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.algorithm import DQN, QRDQN
from perdure.algorithm._priorities import Priorities
from perdure.policy import MLPQPolicy, MLPQuantileQPolicy
from tests.support.trainings import CARTPOLE, OFF_POLICY, bits, new_dqn


def test_the_target_network_follows_at_its_interval():
    algorithm, policy = new_dqn(target_interval=8)  # four updates an iteration
    state = algorithm.init(CARTPOLE, policy, key=jr.key(0))
    one, two = algorithm.run(state, 6), algorithm.run(state, 12)
    assert bits(one.learner.target) == bits(state.learner.target)
    assert bits(two.learner.target.network) == bits(two.policy.network)


def saying(policy, values):
    """The policy with all weights zero but those that are added last."""
    leaves, form = jax.tree.flatten(eqx.filter(policy, eqx.is_inexact_array))
    zeros = [jnp.zeros_like(leaf) for leaf in leaves]
    assert leaves[-1].size == np.size(values)
    zeros[-1] = jnp.asarray(values, jnp.float32).reshape(leaves[-1].shape)
    return eqx.combine(jax.tree.unflatten(form, zeros), policy)


def batch_of(algorithm, policy):
    """Reward 1, discount 0.5, action 0; the second step terminates."""
    state = algorithm.init(CARTPOLE, policy, key=jr.key(0))
    batch = algorithm.draw(state, None, key=jr.key(1))[1]
    size = batch.reward.size
    return dataclasses.replace(
        batch,
        reward=jnp.ones(size),
        discount=jnp.full(size, 0.5),
        terminated=jnp.arange(size) == 1,
        action=jnp.zeros_like(batch.action),
    )


@pytest.mark.parametrize(("double", "target"), [(True, 1.0), (False, 6.0)])
def test_dqn_by_hand(double, target):
    """Online 1 and 2, target network 10 and 0: double takes the second, worth 0; plain the first: 1 + 0.5 x 10."""
    algorithm = DQN(**OFF_POLICY, double=double)
    policy = MLPQPolicy(CARTPOLE, hidden_sizes=(2,), key=jr.key(0))
    batch, online = batch_of(algorithm, policy), saying(policy, [1.0, 2.0])
    y = algorithm.targets(online, saying(policy, [10.0, 0.0]), batch)
    np.testing.assert_allclose(y[:2], [target, 1.0])
    losses, q = algorithm.losses(online, jnp.full(y.shape, 4.0), batch)
    np.testing.assert_allclose([losses[0], q[0]], [2.5, 1.0])  # Huber of 3: 3 - 0.5


def test_qrdqn_by_hand():
    """Means 5 and 4.5: the first action, whose quantiles are 0 and 10."""
    algorithm = QRDQN(**OFF_POLICY)
    policy = MLPQuantileQPolicy(CARTPOLE, num_quantiles=2, hidden_sizes=(2,), key=jr.key(0))
    y = algorithm.targets(policy, saying(policy, [0.0, 10.0, 4.0, 5.0]), batch_of(algorithm, policy))
    np.testing.assert_allclose(y[:2], [[1.0, 6.0], [1.0, 1.0]])


def test_epsilon_goes_by_all_steps_taken_of_all_environments():
    """4 environments x 4 steps, 16 steps before learning: iteration 1 begins at step 32, half of 64."""
    settings = {"num_envs": 4, "num_steps": 4, "learning_starts": 16, "exploration_timesteps": 64}
    dqn = DQN(**settings, epsilon_start=1.0, epsilon_end=0.2)
    assert dqn.epsilon(jnp.int32(0)) == pytest.approx(0.8)
    assert dqn.epsilon(jnp.int32(1)) == pytest.approx(0.6)
    assert dqn.epsilon(jnp.int32(3)) == dqn.epsilon(jnp.int32(9)) == pytest.approx(0.2)


def test_the_exponent_of_importance_rises_to_one(monkeypatch):
    """From 0.4 over 624 steps: 0.4 + 0.6 x (steps taken) / 624."""
    algorithm = DQN(**OFF_POLICY, priority_exponent=0.6, importance_exponent=0.4, importance_timesteps=624)
    _, policy = new_dqn()
    state, seen = algorithm.init(CARTPOLE, policy, key=jr.key(0)), []
    right = Priorities.draw

    def draw(self, size, *, num_items, importance_exponent, key):
        seen.append(float(importance_exponent))
        return right(self, size, num_items=num_items, importance_exponent=importance_exponent, key=key)

    monkeypatch.setattr(Priorities, "draw", draw)
    before = algorithm.steps_before_learning
    assert (before, algorithm.steps_per_iteration) == (24, 6)
    for iteration in (0, 48, 100, 200):  # steps 24, 312, 624, 1224
        algorithm.draw(dataclasses.replace(state, iteration=jnp.int32(iteration)), state.priorities, key=jr.key(1))
    np.testing.assert_allclose(seen, [0.4 + 0.6 * 24 / 624, 0.7, 1.0, 1.0], atol=1e-6)
