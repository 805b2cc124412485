"""The states that are saved and broken here, made once.

`python -m pytest -m reliability` runs a reduced number of cases, `PERDURE_RELIABILITY=full` before it all of them.
"""

from pathlib import Path

import pytest
from jax import random as jr

from perdure import models
from perdure.algorithm import PPO
from perdure.checkpoint._directory import Contents, write
from perdure.env import TimeLimit
from perdure.env.classic_control import CartPole
from perdure.policy import MLPActorCriticPolicy
from tests.support.reliability_kit import contents_of, new_state

ENV = TimeLimit(CartPole(), 20)


@pytest.fixture(scope="session")
def ppo():
    """`(algorithm, state)`."""
    algorithm = PPO(num_envs=1, num_steps=4, num_minibatches=1)
    return algorithm, new_state(algorithm, ENV, MLPActorCriticPolicy(ENV, hidden_sizes=(2,), key=jr.key(0)))


@pytest.fixture(scope="session")
def dqn():
    """`(algorithm, state)` with a replay buffer."""
    agent = models.DQN(ENV, policy_settings={"hidden_sizes": (64, 64)}, batch_size=8, capacity=16_000, seed=0)
    return agent.algorithm, new_state(agent.algorithm, ENV, agent.policy)


@pytest.fixture(scope="session")
def small(ppo) -> Contents:
    """The contents of a checkpoint of about six KiB."""
    return contents_of(*ppo)


@pytest.fixture(scope="session")
def large(dqn) -> Contents:
    """The contents of a checkpoint with a buffer."""
    return contents_of(*dqn, buffer=True)


@pytest.fixture
def checkpoint(small, tmp_path) -> Path:
    """A small checkpoint."""
    write(tmp_path / "saved", small, config=False, force=False)
    return tmp_path / "saved"
