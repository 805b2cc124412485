"""Evaluation while training, on our environments and on Gymnasium's: it disturbs nothing and is refused early."""

import pytest
from jax import random as jr

from perdure.callback import EvalCallback
from perdure.env import make
from perdure.env.adapter import HostEnv, to_gymnasium_env
from perdure.evaluation import evaluate
from tests.support.callbacks import ENV, begin, bits, train

gymnasium = pytest.importorskip("gymnasium", reason="the extra `gym` is not installed")


def host():
    """Two of them side by side."""
    one = lambda: to_gymnasium_env(ENV)  # noqa: E731
    return HostEnv(gymnasium.vector.SyncVectorEnv([one, one], autoreset_mode="SameStep"))


def test_evaluation_on_a_host_environment_leaves_the_training_on_another_as_it_is():
    alone, watched, watch = host(), host(), EvalCallback(host(), frequency=20, num_episodes=3, key=jr.key(5))
    without = train(state=begin(alone), env=alone, steps=60)
    state = train(watch, state=begin(watched), env=watched, steps=60)
    assert bits(state) == bits(without)
    assert [evaluated.step for evaluated in watch.history] == [20, 40, 60]
    again = evaluate(watch.best_policy, host(), num_episodes=3, key=jr.key(5))
    assert again.mean() == watch.best_return


def test_the_environment_of_the_training_is_refused():
    env = host()
    with pytest.raises(ValueError, match="env is the CartPole that is trained on"):
        train(EvalCallback(env, frequency=20), state=begin(env), env=env)


def test_an_environment_with_other_spaces_is_refused_before_the_first_step():
    with pytest.raises(ValueError, match="observation_space"):
        train(EvalCallback(make("Pendulum-v1"), frequency=10**9))


def test_an_environment_of_gymnasiums_has_to_be_wrapped():
    with pytest.raises(TypeError, match=r"env is GymnasiumEnv, but .* Wrap one of Gymnasium's"):
        EvalCallback.__init__.__wrapped__(EvalCallback(ENV), to_gymnasium_env(ENV))
