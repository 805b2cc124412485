"""Agents and policies go through pickles, into spawned processes too, as the content of their files."""

import copy
import multiprocessing
import pickle
import pickletools

import equinox as eqx
import gymnasium
import numpy as np
import pytest

from perdure import models
from perdure._core import leaf_to_numpy, leaves_with_paths
from perdure.env import TimeLimit
from perdure.env.classic_control import CartPole
from perdure.models import LiquidDDPG, agent_class
from perdure.policy import AbstractStatelessPolicy
from perdure.space import Box
from tests.support.policy_kinds import KINDS, make
from tests.templates.plain_q_learning import PlainQLearning

SMALL = {"policy_settings": {"hidden_sizes": (8,)}, "seed": 0}
PPO = {"num_envs": 2, "num_steps": 8, "num_minibatches": 2}
OFF = {"batch_size": 8, "capacity": 64, "learning_starts": 10}


def bits(tree):
    return {path: leaf_to_numpy(leaf).tobytes() for path, leaf in leaves_with_paths(tree)}


def again(thing):
    return pickle.loads(pickle.dumps(thing))


@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_of_every_kind_comes_back_the_same(kind):
    policy = make(kind)
    for other in (again(policy), copy.deepcopy(policy)):
        assert type(other) is type(policy)
        assert bits(other) == bits(policy)
        assert eqx.tree_equal(other, policy)


def test_a_pickle_of_a_policy_names_its_class_and_holds_bytes():
    names = [
        argument
        for code, argument, _ in pickletools.genops(pickle.dumps(make("mlp actor-critic"), 3))
        if "GLOBAL" in code.name
    ]
    assert [name.split()[1] for name in names] == ["_unpickled", "StatelessActorCriticPolicy"]


def test_a_pickle_that_was_changed_is_refused():
    data = bytearray(pickle.dumps(make("mlp actor-critic")))
    at = data.index(b"NUMPY") + 200
    data[at] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        pickle.loads(bytes(data))


class Unregistered(eqx.Module):
    pass


class Own(AbstractStatelessPolicy):
    """What files cannot hold, but pickles can: a static field of a class that is not registered."""

    name = "Own"
    extra: Unregistered = eqx.field(static=True)
    observation_space: Box = eqx.field(static=True)
    action_space: Box = eqx.field(static=True)

    def __call__(self, state, observation, *, key=None, action_mask=None):
        return state, observation


def test_what_files_cannot_hold_is_pickled_as_before():
    box = Box(-1, 1, (2,))
    own = Own(Unregistered(), box, box)
    assert eqx.tree_equal(again(own), own)


@pytest.mark.parametrize("name", ["PPO", "DQN"])
def test_a_trained_agent_goes_on_to_the_bit(name):
    agent = getattr(models, name)("CartPole-v1", **SMALL, **(PPO if name == "PPO" else OFF))
    agent.train(total_timesteps=32, callbacks=())
    copied, deep = again(agent), copy.deepcopy(agent)
    assert type(copied) is type(agent)
    for one in (agent, copied, deep):
        one.train(total_timesteps=32, callbacks=())
    assert bits(copied.training_state) == bits(agent.training_state) == bits(deep.training_state)
    observation = np.full(4, 0.1)
    assert (
        copied.predict(observation, deterministic=False)[0] == agent.predict(observation, deterministic=False)[0]
    ).all()


def test_an_untrained_agent_begins_as_it_would_have():
    agent = models.PPO(TimeLimit(CartPole(), 20), **SMALL, **PPO)
    copied = again(agent)
    for one in (agent, copied):
        one.train(total_timesteps=16, callbacks=())
    assert bits(copied.training_state) == bits(agent.training_state)


def test_liquid_agents_keep_their_way_to_the_bounds_of_an_environment():
    agent = LiquidDDPG(3, 10, 1, seed=0)
    copied = again(agent)
    assert type(copied) is LiquidDDPG
    assert bits(copied.policy) == bits(agent.policy)
    for one in (agent, copied):
        one.train("Pendulum-v1", 8, total_timesteps=4, callbacks=())
    assert float(copied.policy.action_space.high[0]) == 2.0
    assert bits(copied.training_state) == bits(agent.training_state)


def test_an_agent_of_an_algorithm_of_ones_own_comes_back():
    agent = agent_class(PlainQLearning)("CartPole-v1", **SMALL, **OFF)
    assert type(again(agent)) is agent_class(PlainQLearning)


def test_an_environment_of_gymnasium_is_given_again_and_put_where_it_stood():
    agent = models.PPO(gymnasium.make("Acrobot-v1"), **SMALL, **(PPO | {"num_envs": 1})).train(
        total_timesteps=16, callbacks=()
    )
    copied = again(agent)
    with pytest.raises(ValueError, match="no environment to train on"):
        copied.train(total_timesteps=16, callbacks=())
    agent.train(total_timesteps=16, callbacks=())
    copied.train(gymnasium.make("Acrobot-v1"), total_timesteps=16, callbacks=())
    assert bits(copied.training_state) == bits(agent.training_state)


def _act(policy, agent):
    observation = np.full(4, 0.1, np.float32)
    steps = agent.algorithm.steps_taken(agent.training_state)
    return np.asarray(policy(None, observation)[1]), agent.predict(observation)[0], steps


def test_a_spawned_process_takes_them():
    agent = models.PPO("CartPole-v1", **SMALL, **PPO).train(total_timesteps=32, callbacks=())
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(_act, (agent.policy, agent))
    assert found == _act(agent.policy, agent)
