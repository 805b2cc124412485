"""Our environments behind Gymnasium's interface."""

import warnings

import numpy as np
import pytest

from perdure.env import TimeLimit, make, probe, registered_environments
from perdure.env.adapter import make_host, to_gymnasium_env

gymnasium = pytest.importorskip("gymnasium", reason="the extra `gym` is not installed")


@pytest.mark.parametrize("name", registered_environments())
def test_gymnasium_checks_every_task(name):
    from gymnasium.utils.env_checker import check_env

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "WARN: ", UserWarning)  # bounds at infinity, no spec: true, and meant
        warnings.filterwarnings("ignore", ".*", UserWarning, "gymnasium")
        check_env(to_gymnasium_env(make(name), render_mode="rgb_array"), skip_render_check=False)


def test_steps_are_those_of_gymnasium_itself():
    """Started in the same state, CartPole falls the same way."""
    ours, theirs = to_gymnasium_env(make("CartPole-v1")), gymnasium.make("CartPole-v1")
    first, _ = ours.reset(seed=0)
    theirs.reset(seed=0)
    theirs.unwrapped.state = first.astype(np.float64)
    for action in [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]:
        observation, reward, terminated, truncated, _ = ours.step(action)
        expected, *flags = theirs.step(action)[:4]
        np.testing.assert_allclose(observation, expected, atol=1e-5)
        assert [reward, terminated, truncated] == flags


def test_a_seed_decides_the_episodes_that_follow():
    env = to_gymnasium_env(make("CartPole-v1"))
    firsts = [[env.reset(seed=seed)[0], env.reset()[0], env.reset()[0]] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(firsts[0], firsts[1])
    assert (np.asarray(firsts[0]) != np.asarray(firsts[2])).any()
    assert (firsts[0][0] != firsts[0][1]).any()


def test_time_limits_truncate():
    env = to_gymnasium_env(TimeLimit(probe.Act(), 1))
    env.reset(seed=0)
    assert env.step(0)[3] is True


def test_legal_actions_are_told():
    env = to_gymnasium_env(probe.Masked())
    _, info = env.reset(seed=0)
    mask = info["action_mask"]
    assert mask.dtype == np.int8
    assert set(mask.tolist()) == {0, 1}
    assert mask[env.action_space.sample(mask)] == 1


def test_pictures_show_the_state():
    env = to_gymnasium_env(make("Pendulum-v1"), render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    env.step(np.asarray([2.0], np.float32))
    assert before.shape == (400, 400, 3)
    assert (env.render() != before).any()
    with pytest.raises(ValueError, match=r"render_mode='human' for Pendulum"):
        to_gymnasium_env(make("Pendulum-v1"), render_mode="human")


def test_a_step_before_the_first_reset_is_refused():
    with pytest.raises(gymnasium.error.ResetNeeded, match="CartPole was never reset"):
        to_gymnasium_env(make("CartPole-v1")).step(0)


@pytest.mark.slow
def test_stable_baselines_trains_on_our_cartpole():
    sb3 = pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 is not installed")
    from stable_baselines3.common.evaluation import evaluate_policy

    env = to_gymnasium_env(make("CartPole-v1"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch and of Stable-Baselines3
        model = sb3.PPO("MlpPolicy", env, n_steps=512, seed=0, device="cpu")
        model.learn(8_000)
        mean_return, _ = evaluate_policy(model, env, 10)
    assert mean_return > 200


def test_what_is_no_environment_of_ours_is_refused():
    with pytest.raises(TypeError, match="env is int"):
        to_gymnasium_env(3)
    with pytest.raises(ValueError, match="num_envs=0"):
        make_host("CartPole-v1", 0)
