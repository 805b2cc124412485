"""PPO: its ratio, its early end, its clip, its learning rate."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from jax import random as jr

from perdure.algorithm import PPO
from perdure.algorithm._evaluate import Evaluation, RolloutBatch
from perdure.policy import (
    MLPActorCriticPolicy,
)
from tests.support.trainings import CARTPOLE, ON_POLICY, Recorder, new, new_ppo


def test_the_first_minibatch_of_an_iteration_has_ratio_one():
    """With one epoch of one minibatch, the policy that is updated is the one that acted, also with a normaliser."""
    algorithm, policy = new_ppo()
    algorithm = eqx.tree_at(lambda a: (a.num_epochs, a.num_minibatches), algorithm, (1, 1))
    recorder = Recorder()
    algorithm.learn(CARTPOLE, policy, total_timesteps=160, key=jr.key(0), callbacks=[recorder])
    assert recorder.metrics["clip_fraction"] == 0
    assert recorder.metrics["approximate_kl"] == pytest.approx(0, abs=1e-6)


def test_a_target_kl_ends_the_updates_of_an_iteration():
    """A target below any change lets exactly the first minibatch, where nothing has changed yet, be learned from."""
    recorder = Recorder()
    settings = {"num_minibatches": 2, "num_epochs": 3, "learning_rate": 0.1}
    algorithm, policy = new(PPO, MLPActorCriticPolicy, **ON_POLICY, **settings, target_kl=1e-6)
    state = algorithm.init(CARTPOLE, policy, key=jr.key(0))
    after = algorithm.run(state, 1, callbacks=[recorder])
    assert recorder.metrics["stopped"] == pytest.approx(5 / 6)
    counts = [x for x in jax.tree.leaves(after.optimizer_state) if x.dtype == jnp.int32]
    assert counts
    assert all(count == 1 for count in counts)


def test_the_clip_falls_with_the_learning_rate():
    algorithm, _ = new_ppo(anneal_timesteps=160, anneal_clip=True)  # 16 steps an iteration
    assert [round(float(algorithm.clip_at(jnp.array(i))), 3) for i in (0, 5, 10, 20)] == [0.2, 0.1, 0.0, 0.0]


def test_the_learning_rate_falls_to_zero():
    def moved(algorithm, policy):
        state = algorithm.run(algorithm.init(CARTPOLE, policy, key=jr.key(0)), 160)
        then = algorithm.run(state, 160).policy
        return max(
            float(jnp.abs(a - b).max())
            for a, b in zip(jax.tree.leaves(then.actor), jax.tree.leaves(state.policy.actor), strict=True)
        )

    with pytest.warns(UserWarning, match=r"PPO\.anneal_timesteps=160"):
        assert moved(*new_ppo(anneal_timesteps=160)) < 1e-7
    assert moved(*new_ppo()) > 1e-3


@pytest.mark.parametrize(
    ("ratio", "advantage", "value_clip", "policy_loss", "value_loss"),
    [
        (1.5, -1.0, None, 1.5, 0.0),  # -min(1.5 x -1, 1.2 x -1); value 1, target 1
        (1.5, 1.0, None, -1.2, 0.0),  # -min(1.5, 1.2)
        (0.5, 1.0, None, -0.5, 0.0),  # -min(0.5, 0.8)
        (0.5, -1.0, 0.2, 0.8, 0.32),  # -min(-0.5, -0.8); from 0 the value gets to 0.2: 0.5 x 0.8^2
    ],
)
def test_the_loss_by_hand(ratio, advantage, value_clip, policy_loss, value_loss):
    settings = {"normalize_advantage": False, "value_clip": value_clip, "entropy_weight": 0.1}
    algorithm, _ = new_ppo(**settings)
    one, zero = jnp.ones(1), jnp.zeros(1)
    batch = RolloutBatch(
        observation=zero, action=zero, action_mask=None, policy_state=None, begins=zero > 0, log_prob=zero,
        value=zero, advantage=advantage * one, target=one,
    )  # fmt: skip
    new_evaluation = Evaluation(value=one, log_prob=jnp.log(ratio * one), entropy=2 * one)
    loss, metrics = algorithm.loss(new_evaluation, batch, jnp.array(0))
    assert metrics["policy_loss"] == pytest.approx(policy_loss, abs=1e-6)
    assert metrics["value_loss"] == pytest.approx(value_loss, abs=1e-6)
    assert loss == pytest.approx(policy_loss + 0.5 * value_loss - 0.1 * 2, abs=1e-6)


def test_halfway_the_learning_rate_is_half_and_the_last_update_still_moves():
    """160 steps are 10 iterations of 2 x 8 steps, each of so many epochs of so many minibatches."""
    algorithm, _ = new_ppo(anneal_timesteps=160, learning_rate=0.5, num_epochs=3)
    schedule, updates = algorithm.learning_rate_schedule(), 10 * 3 * 2
    assert schedule(0) == 0.5
    assert schedule(updates // 2) == pytest.approx(0.25)
    assert schedule(updates - 1) == pytest.approx(0.5 / updates, rel=1e-4)
    assert schedule(updates) == 0.0
