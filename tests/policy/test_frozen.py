"""Parts that are frozen stay as they are to the bit while others learn."""

import equinox as eqx
import jax
import numpy as np
import pytest
from jax import random as jr

from perdure.algorithm import DQN, PPO, SAC
from perdure.checkpoint import load_policy, save_policy
from perdure.env import make
from perdure.policy import (
    ActorCriticPolicy,
    Frozen,
    MLPBody,
    QPolicy,
    RecurrentBody,
    SACPolicy,
    frozen,
    thawed,
    update_normalizer,
)
from policy_kinds import CHOICE, VECTOR, Spaces

CARTPOLE, PENDULUM = make("CartPole-v1"), make("Pendulum-v1")
ON = {"num_envs": 2, "num_steps": 8, "num_minibatches": 2}
OFF = {"num_envs": 2, "num_steps": 3, "batch_size": 16, "capacity": 100, "learning_starts": 20}
MLP = MLPBody(hidden_sizes=(8,), shared=True, normalize_observation=True)
CASES = {
    "PPO, trunk": (PPO(**ON), ActorCriticPolicy, CARTPOLE, MLP, lambda p: p.body.trunk, lambda p: p.actor),
    "PPO, actor": (PPO(**ON), ActorCriticPolicy, CARTPOLE, MLP, lambda p: p.actor, lambda p: p.critic),
    "PPO, GRU": (
        PPO(**ON),
        ActorCriticPolicy,
        CARTPOLE,
        RecurrentBody(memory_size=4, hidden_sizes=(4,), trunk_sizes=(4,), normalize_observation=True),
        lambda p: p.body,
        lambda p: p.actor,
    ),
    "DQN, body": (DQN(**OFF), QPolicy, CARTPOLE, MLP, lambda p: p.body, lambda p: p.network),
    "SAC, body": (SAC(**OFF), SACPolicy, PENDULUM, MLP, lambda p: p.body, lambda p: p.network),
}


def same(before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs if eqx.is_array(a))


@pytest.mark.parametrize("case", CASES)
def test_training_leaves_it_bit_equal_and_moves_the_rest(case, tmp_path):
    algorithm, role, env, body, where, other = CASES[case]
    policy = frozen(role(env, body, key=jr.key(0)), where)
    trained = algorithm.learn(env, policy, total_timesteps=64, key=jr.key(1))
    assert isinstance(where(trained), Frozen)
    assert same(where(policy), where(trained))
    assert not same(other(policy), other(trained))
    save_policy(tmp_path / "policy", trained)
    assert eqx.tree_equal(load_policy(tmp_path / "policy"), trained)


def test_it_acts_as_before_and_thaws_to_what_it_was():
    policy = ActorCriticPolicy(Spaces(VECTOR, CHOICE), MLP, key=jr.key(0))
    still = frozen(policy, lambda p: (p.body, p.actor))
    observation = VECTOR.sample(key=jr.key(1))
    for a, b in zip(policy.evaluate(None, observation)[1:], still.evaluate(None, observation)[1:], strict=True):
        assert eqx.tree_equal(a, b)
    assert sorted(still.get_parameters()) == [f"critic.layers.0.{part}" for part in ("bias", "weight")]
    assert eqx.tree_equal(thawed(still), policy)


def test_its_statistics_stand_still():
    policy = frozen(QPolicy(Spaces(VECTOR, CHOICE), MLP, key=jr.key(0)), lambda p: p.body)
    batch = jax.vmap(lambda k: VECTOR.sample(key=k))(jr.split(jr.key(1), 20))
    assert eqx.tree_equal(update_normalizer(policy, batch), policy)
    assert policy.normalizer.count == 0
