"""What is logged of the episodes that ended."""

from jax import random as jr

from perdure.algorithm import PPO
from perdure.env import probe
from perdure.policy import (
    MLPActorCriticPolicy,
)
from tests.support.trainings import Recorder


def test_episode_returns_are_those_of_the_environment():
    """Every episode of the time-limit probe is three steps of reward 1."""
    env = probe.Truncation()
    policy = MLPActorCriticPolicy(env, hidden_sizes=(), key=jr.key(0))
    recorder = Recorder()
    PPO(num_envs=2, num_steps=9, num_minibatches=1).learn(
        env, policy, total_timesteps=18, key=jr.key(0), callbacks=[recorder]
    )
    assert recorder.metrics["episodes"] == 6
    assert recorder.metrics["episode_return"] == 3
    assert recorder.metrics["episode_length"] == 3
