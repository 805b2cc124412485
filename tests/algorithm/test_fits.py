"""A policy that does not fit the algorithm or the environment is refused."""

import pytest
from jax import random as jr

from perdure.algorithm import DQN, PPO, SAC
from perdure.algorithm._fits import check_fits
from perdure.env import RescaleAction, make
from perdure.policy import (
    MLPActorCriticPolicy,
    MLPSACPolicy,
    RecurrentActorCriticPolicy,
    RecurrentQPolicy,
)
from tests.support.trainings import CARTPOLE, new_dqn, new_ppo


def test_algorithms_refuse_a_policy_of_another_kind():
    algorithm, policy = new_ppo()[0], new_dqn()[1]
    with pytest.raises(TypeError, match="PPO needs an actor-critic policy"):
        algorithm.init(CARTPOLE, policy, key=jr.key(0))
    algorithm, policy = new_dqn()[0], new_ppo()[1]
    with pytest.raises(TypeError, match="DQN needs a Q policy"):
        algorithm.init(CARTPOLE, policy, key=jr.key(0))


def test_a_policy_with_a_memory_needs_settings_that_suit_it():
    def refused(algorithm, policy, message):
        with pytest.raises(ValueError, match=message):
            algorithm.init(CARTPOLE, policy(CARTPOLE, memory_size=4, key=jr.key(0)), key=jr.key(0))

    refused(PPO(num_envs=2, num_steps=8), RecurrentActorCriticPolicy, "num_minibatches=4 does not divide num_envs=2")
    refused(DQN(n_step=3), RecurrentQPolicy, "DQN has n_step=3")
    refused(
        DQN(learning_starts=20), RecurrentQPolicy, "learning_starts=20, but the first sequences .* are there after 96"
    )


def test_a_policy_for_other_spaces_is_refused():
    algorithm, _ = new_ppo()
    policy = MLPActorCriticPolicy(make("Pendulum-v1"), key=jr.key(0))
    with pytest.raises(ValueError, match="observation_space"):
        algorithm.init(CARTPOLE, policy, key=jr.key(0))


def test_a_policy_for_other_bounds_of_actions_is_refused_with_the_mend():
    weak = RescaleAction(make("Pendulum-v1"), -0.5, 0.5)
    policy = MLPSACPolicy(make("Pendulum-v1"), key=jr.key(0))
    with pytest.raises(
        ValueError, match=r"policy\.action_space is Box\(-2\.0, 2\.0.*Box\(-0\.5, 0\.5.*RescaleAction\(env"
    ):
        SAC().init(weak, policy, key=jr.key(0))
    check_fits(SAC(), RescaleAction(weak, -2.0, 2.0), policy)  # the mend
