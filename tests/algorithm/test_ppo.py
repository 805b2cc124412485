"""PPO: its ratio, its early end, its clip, its learning rate."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from jax import random as jr

from perdure.algorithm import PPO
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
