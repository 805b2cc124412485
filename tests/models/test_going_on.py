"""Training goes on by what an environment is, not by which object it is, and keeps all that fits where something changes."""

import dataclasses
import warnings

import gymnasium
import jax
import numpy as np
import pytest
from jax import random as jr

from perdure import models
from perdure._core import leaf_to_numpy, leaves_with_paths
from perdure.algorithm import carry_over
from perdure.callback import AbstractCallback, ConsoleTable, LearningCurve
from perdure.env import TimeLimit
from perdure.env.classic_control import CartPole, Pendulum
from perdure.models import Agent

SMALL = {"policy_settings": {"hidden_sizes": (8,)}, "seed": 0}
PPO = {"num_envs": 2, "num_steps": 32, "num_minibatches": 2}
DQN = {"num_envs": 2, "num_steps": 2, "batch_size": 8, "capacity": 64, "learning_starts": 16}
SAC = {"num_envs": 1, "batch_size": 8, "capacity": 64, "learning_starts": 16}


def bits(tree):
    return {path: leaf_to_numpy(leaf).tobytes() for path, leaf in leaves_with_paths(tree)}


def steps(agent):
    return agent.algorithm.steps_taken(agent.training_state)


def ppo(env="CartPole-v1", **settings):
    return models.PPO(env, **SMALL, **(PPO | settings))


@pytest.fixture(scope="module")
def trained():
    return ppo().train(total_timesteps=320, callbacks=())


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "d"
    trained.save(path)
    return path


@pytest.fixture(scope="module")
def twice(saved):
    """The training that goes on where its environment is not named at all."""
    return bits(models.PPO.load(saved).train(total_timesteps=64, callbacks=()).training_state)


@pytest.mark.parametrize("env", ["CartPole-v1", TimeLimit(CartPole(), 500)], ids=["by name", "another object"])
def test_naming_the_environment_after_load_goes_on_to_the_bit(saved, twice, env):
    agent = models.PPO.load(saved).train(env, total_timesteps=64, callbacks=())
    assert steps(agent) == 384
    assert bits(agent.training_state) == twice


def test_another_object_of_the_same_making_goes_on_in_the_same_process():
    one, other = ppo(), ppo()
    one.train(total_timesteps=64, callbacks=()).train(total_timesteps=64, callbacks=())
    other.train(TimeLimit(CartPole(), 500), total_timesteps=64, callbacks=())
    other.train(TimeLimit(CartPole(), 500), total_timesteps=64, callbacks=())
    assert steps(other) == 128
    assert bits(other.training_state) == bits(one.training_state)


def test_fresh_begins_anew_with_the_policy(saved):
    agent = models.PPO.load(saved).train("CartPole-v1", total_timesteps=64, callbacks=(), fresh=True)
    assert steps(agent) == 64
    with pytest.raises(TypeError, match="fresh"):
        models.PPO("CartPole-v1", fresh=True)


def test_in_a_changed_environment_all_is_kept_that_fits_and_said(saved, trained):
    agent = models.PPO.load(saved)
    with pytest.warns(UserWarning, match=r"goes on with what fits: policy, optimizer_state\. Begun anew: its episodes"):
        agent.train(TimeLimit(CartPole(gravity=1.6), 500), total_timesteps=64, callbacks=())
    assert steps(agent) == 384
    count = lambda a: [x for x in jax.tree.leaves(a.training_state.optimizer_state) if x.dtype == np.int32]  # noqa: E731
    assert max(map(int, count(agent))) == 384 // 64 * 8 == max(map(int, count(trained))) * 6 // 5
    assert agent.training_state.env.unwrapped.gravity == 1.6


def test_steps_are_counted_as_they_happened_when_settings_change(saved, tmp_path):
    agent = models.PPO.load(saved).train(batch_size=128, total_timesteps=256, callbacks=())
    assert (agent.algorithm.steps_per_iteration, steps(agent)) == (256, 576)
    assert "576 steps" in repr(agent)
    agent.save(tmp_path / "a")
    again = models.PPO.load(tmp_path / "a")
    assert steps(again) == 576
    assert steps(again.train(batch_size=32, total_timesteps=64, callbacks=())) == 640
    assert int(again.training_state.iteration) == 10  # of 64 steps: schedules go by what happened


def test_callbacks_are_told_the_steps_that_happened(saved):
    class Seen(AbstractCallback):
        steps = ()

        def on_end(self, record):
            self.steps = (record.step, record.total_steps)

    seen = Seen()
    models.PPO.load(saved).train(batch_size=128, total_timesteps=256, callbacks=(seen, ConsoleTable()))
    assert seen.steps == (576, 576)


def test_a_learning_curve_goes_on_where_an_iteration_is_longer_than_all_before(tmp_path):
    curve = LearningCurve(tmp_path / "curve.csv")
    agent = ppo().train(total_timesteps=64, callbacks=(curve, ConsoleTable()))
    agent.train(batch_size=128, total_timesteps=256, callbacks=(curve, ConsoleTable()))
    rows = (tmp_path / "curve.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == [64, 320]


def test_a_replay_buffer_that_is_kept_is_not_there_twice():
    """Where all is kept, nothing is computed; where the buffer is, no other one is made."""
    agent = models.DQN("CartPole-v1", **SMALL, **DQN).train(total_timesteps=8, callbacks=())
    buffer = agent.training_state.buffer
    now = dataclasses.replace(agent.algorithm, learning_rate=1e-4)
    for env, same_env in ((agent.training_state.env, True), (TimeLimit(CartPole(gravity=1.6), 500), False)):
        carried = carry_over(agent.algorithm, now, agent.training_state, env, same_env=same_env, key=jr.key(0))
        assert carried.state.buffer is buffer
        assert (carried.state.rollout is agent.training_state.rollout) == same_env


@pytest.mark.parametrize("num_envs", [1, 4])
def test_another_number_of_native_environments_keeps_what_fits(saved, num_envs):
    agent = models.PPO.load(saved)
    with pytest.warns(UserWarning, match=r"policy, optimizer_state\. Begun anew: rollout\."):
        agent.train(total_timesteps=128, num_envs=num_envs, callbacks=())
    assert agent.training_state.rollout.episode_return.shape == (num_envs,)
    assert steps(agent) == 448


def test_a_replay_buffer_is_kept_where_it_fits_and_filled_anew_where_not(tmp_path):
    agent = models.DQN("CartPole-v1", **SMALL, **DQN).train(total_timesteps=32, callbacks=())
    agent.save(tmp_path / "a", buffer=True)
    before, written = steps(agent), int(agent.training_state.buffer.blocks_written)
    with pytest.warns(UserWarning, match=r"fits: learner, buffer\. Begun anew: its episodes"):
        agent.train(TimeLimit(CartPole(gravity=1.6), 500), total_timesteps=4, callbacks=())
    assert (steps(agent), int(agent.training_state.buffer.blocks_written)) == (before + 4, written + 1)
    other = models.DQN.load(tmp_path / "a", buffer=True)
    with pytest.warns(UserWarning, match=r"fits: learner\. Begun anew: buffer, rollout"):
        other.train(num_envs=4, total_timesteps=8, callbacks=())
    assert steps(other) == before + 8
    assert int(other.training_state.buffer.blocks_written) == other.algorithm.warmup_rollouts + 1
    assert int(other.training_state.learner.updates) > int(
        models.DQN.load(tmp_path / "a").training_state.learner.updates
    )


def test_another_optimiser_begins_anew_alone():
    agent = models.SAC("Pendulum-v1", **SMALL, **SAC).train(total_timesteps=8, callbacks=())
    critics = bits(agent.training_state.learner.critics_target)
    settings = dataclasses.replace(agent.algorithm, optimizer_name="sgd", tau=0.0)
    with pytest.warns(UserWarning, match=r"learner\.critics, .*Begun anew: learner\.policy_optimizer, "):
        agent.train(total_timesteps=1, callbacks=(), optimizer_name="sgd", tau=0.0)
    assert agent.algorithm == settings
    assert bits(agent.training_state.learner.critics_target) == critics  # kept, and with tau=0 nothing moves them


def test_gymnasium_environments_are_compared_by_how_they_were_made(tmp_path):
    def new(g=10.0):
        return gymnasium.make("Pendulum-v1", g=g)

    def agent(env):
        return models.SAC(env, **SMALL, **SAC).train(total_timesteps=8, callbacks=())

    one, other = agent(new()), agent(new())
    one.save(tmp_path / "a", buffer=True)
    one.train(total_timesteps=8, callbacks=())
    other.train(new(), total_timesteps=8, callbacks=())  # another object: put where the first one stood
    loaded = Agent.load(tmp_path / "a", buffer=True).train(new(), total_timesteps=8, callbacks=())
    assert bits(other.training_state) == bits(loaded.training_state) == bits(one.training_state)
    for changed in (other, Agent.load(tmp_path / "a", buffer=True)):
        before = steps(changed)
        with pytest.warns(UserWarning, match=r"fits: learner, buffer\. Begun anew: its episodes"):
            changed.train(new(g=3.0), total_timesteps=8, callbacks=())
        assert steps(changed) == before + 8
        assert changed._training_env.envs.envs[0].unwrapped.g == 3.0  # not put back to what was saved


def test_a_vector_may_have_another_number_of_environments_after_load(tmp_path):
    models.PPO("Pendulum-v1", **SMALL, **PPO)  # ours
    envs = gymnasium.make_vec("Acrobot-v1", num_envs=2, vectorization_mode="sync")
    agent = models.PPO(envs, **SMALL, **PPO).train(total_timesteps=64, callbacks=())
    agent.save(tmp_path / "a")
    for num_envs in (1, 4):
        loaded = models.PPO.load(tmp_path / "a")
        more = gymnasium.make_vec("Acrobot-v1", num_envs=num_envs, vectorization_mode="sync")
        with pytest.warns(UserWarning, match=r"policy, optimizer_state\. Begun anew: rollout"):
            loaded.train(more, total_timesteps=32 * num_envs, callbacks=())
        assert steps(loaded) == 64 + 32 * num_envs
        with pytest.raises(ValueError, match=rf"num_envs=3, but Acrobot-v1 is {num_envs} host environments"):
            loaded.train(total_timesteps=64, num_envs=3, callbacks=())


def test_other_spaces_are_refused(saved):
    with pytest.raises(ValueError, match=r"policy\.observation_space is .*Make the policy with env=env"):
        models.PPO.load(saved).train(TimeLimit(Pendulum(), 200), total_timesteps=64, callbacks=())


def test_nothing_is_said_where_nothing_changes(saved):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        models.PPO.load(saved).train("CartPole-v1", learning_rate=1e-3, total_timesteps=64, callbacks=())
