"""`perdure train` makes a policy that the algorithm can train, whatever the algorithm and the kind of policy."""

import jax
import pytest
from jax import random as jr

from perdure.cli._train import PolicySettings, new_policy
from perdure.env import make
from perdure.models import KINDS, ROLES


@pytest.mark.parametrize("algorithm", ROLES, ids=lambda a: a.__name__)
@pytest.mark.parametrize("kind", [k for k in KINDS if k != "cnn"])
def test_each_algorithm_gets_a_policy_it_can_train(algorithm, kind):
    continuous = algorithm.__name__ in ("DDPG", "TD3", "SAC", "TQC")
    env = make("Pendulum-v1" if continuous else "CartPole-v1")
    policy = new_policy(algorithm(), env, PolicySettings(kind=kind, hidden_sizes=(8,)), jr.key(0))
    jax.eval_shape(lambda key: algorithm().begin(env, policy, key=key).iteration, jr.key(1))
