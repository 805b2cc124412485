"""`perdure train` makes a policy that the algorithm can train, whatever the algorithm and the kind of policy."""

import jax
import pytest
from jax import random as jr

from perdure.algorithm import PPO
from perdure.cli._evaluate import evaluate
from perdure.cli._train import PolicySettings, new_policy, train
from perdure.env import make
from perdure.models import KINDS, ROLES


@pytest.mark.parametrize("algorithm", ROLES, ids=lambda a: a.__name__)
@pytest.mark.parametrize("kind", [k for k in KINDS if k != "cnn"])
def test_each_algorithm_gets_a_policy_it_can_train(algorithm, kind):
    continuous = algorithm.__name__ in ("DDPG", "TD3", "SAC", "TQC")
    env = make("Pendulum-v1" if continuous else "CartPole-v1")
    policy = new_policy(algorithm(), env, PolicySettings(kind=kind, hidden_sizes=(8,)), jr.key(0))
    jax.eval_shape(lambda key: algorithm().begin(env, policy, key=key).iteration, jr.key(1))


def test_what_is_not_ours_is_taken_from_gymnasium(tmp_path, capsys):
    pytest.importorskip("gymnasium", reason="the extra `gym` is not installed")
    algorithm = PPO(num_envs=2, num_steps=8, num_minibatches=2)
    settings = {"total_timesteps": 32, "out": tmp_path / "run", "compilation_cache": False}
    train(algorithm, "FrozenLake-v1", PolicySettings(hidden_sizes=(4,)), **settings)
    evaluate(tmp_path / "run", episodes=1, compilation_cache=False)
    assert "FrozenLake-v1" in capsys.readouterr().out
    with pytest.raises(ValueError, match="There is no environment 'FrozenLak-v1'"):
        train(algorithm, "FrozenLak-v1", PolicySettings(), **(settings | {"out": tmp_path / "none"}))
