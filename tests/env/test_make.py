"""Environments by name."""

import pytest

from perdure.env import TimeLimit, make, register_environment, registered_environments
from perdure.env.classic_control import CartPole
from perdure.env.probe import Act


def test_make_gives_the_task_with_its_usual_time_limit() -> None:
    env = make("CartPole-v1")
    assert isinstance(env, TimeLimit)
    assert env.max_episode_steps == 500
    assert isinstance(env.unwrapped, CartPole)


def test_make_passes_settings_on() -> None:
    assert make("CartPole-v1", gravity=1.6).unwrapped.gravity == 1.6
    assert make("CartPole-v1", max_episode_steps=20).max_episode_steps == 20


def test_an_unknown_name_is_answered_with_the_closest_and_all_names() -> None:
    message = r"There is no environment 'cartpole-v1'. Did you mean 'CartPole-v1'\? Known: Acrobot-v1, CartPole-v1, "
    with pytest.raises(ValueError, match=message):
        make("cartpole-v1")
    with pytest.raises(ValueError, match=r"There is no environment 'xyz'. Known: Acrobot-v1"):
        make("xyz")


def test_an_unknown_setting_is_answered_with_the_closest() -> None:
    with pytest.raises(TypeError, match=r"CartPole-v1 has no setting 'gravty'. Did you mean 'gravity'\? Known: "):
        make("CartPole-v1", gravty=1.6)


def test_a_time_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"TimeLimit.max_episode_steps = 0, but an episode has at least one step"):
        make("CartPole-v1", max_episode_steps=0)


def test_users_register_their_own() -> None:
    register_environment("test/Act-v0", Act, max_episode_steps=3)
    register_environment("test/Act-v0", Act, max_episode_steps=3)  # a module that is imported twice
    assert make("test/Act-v0", continuous=True).unwrapped.continuous
    assert "test/Act-v0" in registered_environments()
    with pytest.raises(ValueError, match="The environment name 'CartPole-v1' is taken"):
        register_environment("CartPole-v1", Act)
