"""Imported policies go on learning where they stood: actor and critic came along."""

from pathlib import Path

import equinox as eqx
import jax
import pytest

from perdure.algorithm import PPO
from perdure.env import make
from perdure.env.classic_control import CartPole
from perdure.evaluation import evaluate
from perdure.importer import load_sb3
from tests.support.shared_files import shared_data


def mean_return(policy):
    return evaluate(policy, make("CartPole-v1"), num_episodes=50, key=jax.random.key(0)).mean()


def trained_further(policy):
    algorithm = PPO(num_envs=8, num_steps=128, learning_rate=3e-4)
    trained = algorithm.learn(CartPole(), policy, total_timesteps=10_240, key=jax.random.key(1))
    assert not eqx.tree_equal(trained, policy)
    return trained


def test_a_half_trained_model_of_ppo_becomes_better():
    policy = load_sb3(Path(__file__).parent / "files" / "ppo_cartpole.zip")
    before = mean_return(policy)
    assert 100 < before < 300
    assert mean_return(trained_further(policy)) > before


@pytest.mark.skipif(shared_data() is None, reason="the model files of ../shared/data are not here")
def test_a_trained_model_does_not_collapse():
    policy = load_sb3(shared_data() / "sb3" / "a2c_CartPole-v1.zip")
    before = mean_return(policy)
    assert before > 450
    assert mean_return(trained_further(policy)) >= before
