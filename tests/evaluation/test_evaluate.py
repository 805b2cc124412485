"""Returns of a policy: exact on tasks whose returns are known."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.env import TimeLimit, make, probe
from perdure.env.adapter import HostEnv, to_gymnasium_env
from perdure.env.classic_control import CartPole
from perdure.evaluation import evaluate, summarize
from perdure.policy import AbstractStatelessPolicy, MLPActorCriticPolicy


class Constant(AbstractStatelessPolicy):
    """Always the same action, or a random one when it is given a key."""

    name = "Constant"
    action_space: object
    observation_space: object
    action: int

    def __call__(self, state, observation, *, key=None, action_mask=None):
        return None, jnp.asarray(self.action) if key is None else self.action_space.sample(key=key)


def constant(env, action):
    return Constant(env.action_space, env.observation_space, action)


def test_the_return_is_the_sum_of_rewards_until_the_end():
    env = probe.Discount()  # two steps, 0 then 1
    assert evaluate(constant(env, 0), env, num_episodes=3, key=jr.key(0)).tolist() == [1, 1, 1]


def test_nothing_is_earned_after_the_end_of_an_episode():
    env = make("CartPole-v1")  # pushing one way ends after 8 to 11 steps, at different times in different episodes
    returns = evaluate(constant(env, 1), env, num_episodes=50, key=jr.key(0))
    assert len(set(returns.tolist())) > 1
    assert ((returns >= 8) & (returns <= 11)).all()


def test_an_episode_without_an_end_is_cut():
    env = TimeLimit(CartPole(gravity=0.0, force=0.0), 5_000)  # a cart that nothing moves
    assert (evaluate(constant(env, 0), env, max_episode_steps=70, key=jr.key(0)) == 70).all()


def test_deterministic_gives_the_policy_no_key():
    env = probe.Act()
    assert (evaluate(constant(env, 1), env, num_episodes=20, key=jr.key(0)) == 1).all()
    random = evaluate(constant(env, 1), env, num_episodes=20, deterministic=False, key=jr.key(0))
    assert set(random.tolist()) == {-1, 1}


def test_masks_reach_the_policy():
    env = probe.Masked()
    policy = MLPActorCriticPolicy(env, hidden_sizes=(), key=jr.key(0))
    assert (evaluate(policy, env, num_episodes=50, deterministic=False, key=jr.key(1)) >= 0).all()  # -10 if illegal


def test_the_same_key_gives_the_same_returns():
    env = make("CartPole-v1")
    policy = MLPActorCriticPolicy(env, key=jr.key(0))
    one, two = (evaluate(policy, env, deterministic=False, key=jr.key(1)) for _ in range(2))
    assert (one == two).all()


def test_too_few_episodes_are_refused():
    env = probe.Act()
    with pytest.raises(ValueError, match="num_episodes=0"):
        evaluate(constant(env, 0), env, num_episodes=0, key=jr.key(0))


def test_a_policy_for_another_task_is_refused():
    policy = MLPActorCriticPolicy(make("Pendulum-v1"), key=jr.key(0))
    with pytest.raises(ValueError, match=r"policy.observation_space is Box\(.* but env.observation_space is Box"):
        evaluate(policy, make("CartPole-v1"), key=jr.key(0))


def test_the_summary_holds_the_numbers_of_the_sample():
    summary = summarize(np.array([1.0, 2.0, 6.0]))
    assert (summary.episodes, summary.mean, summary.median, summary.min, summary.max) == (3, 3.0, 2.0, 1.0, 6.0)
    assert summary.std == pytest.approx((14 / 3) ** 0.5)  # deviations -2, -1, 3
    assert 1.0 <= summary.low < 3.0 < summary.high <= 6.0


def test_the_interval_covers_the_true_mean_about_95_times_in_100():
    rng = np.random.default_rng(0)
    intervals = [summarize(rng.normal(10.0, 3.0, 40)) for _ in range(200)]
    covered = sum(s.low <= 10.0 <= s.high for s in intervals)
    assert 180 <= covered <= 198


def test_a_summary_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no return"):
        summarize(np.array([]))


@pytest.mark.parametrize(("env", "earned"), [(TimeLimit(CartPole(), 3), 3), (probe.Discount(), 1)])
def test_on_a_host_each_episode_counts_once_with_its_last_reward(env, earned):
    """Three copies, four episodes: three steps till a time limit; two till a termination that alone is rewarded."""
    gymnasium = pytest.importorskip("gymnasium", reason="needs the extra gym")
    envs = gymnasium.vector.SyncVectorEnv([lambda: to_gymnasium_env(env)] * 3, autoreset_mode="SameStep")
    assert evaluate(constant(env, 0), HostEnv(envs), num_episodes=4, key=jr.key(0)).tolist() == [earned] * 4
