"""Training on Gymnasium's environments: the same learning as natively, under every rule of when an episode begins."""

import jax
import numpy as np
import pytest
from jax import random as jr

from perdure.algorithm import DQN, PPO, SAC, _host_compiled
from perdure.callback import AbstractCallback
from perdure.env import TimeLimit
from perdure.env.adapter import HostEnv, HostSpec, make_host, to_gymnasium_env
from perdure.env.classic_control import CartPole
from perdure.evaluation import evaluate
from perdure.policy import MLPActorCriticPolicy, MLPQPolicy, MLPSACPolicy
from tests.support.trainings import bits

gymnasium = pytest.importorskip("gymnasium", reason="the extra `gym` is not installed")

FIXED = TimeLimit(CartPole(reset_bound=0.0), 11)  # every episode starts the same, and a few are cut short
MODES = ["NextStep", "SameStep", "Disabled"]


def host(mode="SameStep", num_envs=2, env=FIXED):
    make = lambda: to_gymnasium_env(env)  # noqa: E731
    return HostEnv(gymnasium.vector.SyncVectorEnv([make] * num_envs, autoreset_mode=mode))


def ppo(**settings):
    policy = MLPActorCriticPolicy(FIXED, hidden_sizes=(8,), normalize_observation=True, key=jr.key(0))
    return PPO(num_envs=2, num_steps=16, num_minibatches=2, **settings), policy


def dqn(**settings):
    policy = MLPQPolicy(FIXED, hidden_sizes=(8,), normalize_observation=True, key=jr.key(0))
    return DQN(num_envs=2, num_steps=3, batch_size=16, capacity=200, learning_starts=20, **settings), policy


BOTH = pytest.mark.parametrize("new", [ppo, dqn], ids=["PPO", "DQN"])


class Totals(AbstractCallback):
    def __init__(self):
        self.episodes = self.steps = 0

    def on_chunk(self, record):
        episodes = record.metrics["episodes"]
        self.episodes += episodes
        self.steps += episodes * record.metrics["episode_length"] if episodes else 0
        return False


@BOTH
@pytest.mark.parametrize("mode", MODES)
def test_a_host_learns_what_the_native_loop_learns(new, mode):
    """Same keys, same dynamics, a start that is always the same: every array of the state agrees."""
    algorithm, policy = new()
    native = algorithm.run(algorithm.init(FIXED, policy, key=jr.key(1)), 120)
    env = host(mode)
    state = algorithm.run(algorithm.init(env, policy, key=jr.key(1)), 120, env=env)
    ours = [state.policy, state.rollout.observation, state.rollout.episode_return, state.rollout.episode_length]
    theirs = [native.policy, native.rollout.observation, native.rollout.episode_return, native.rollout.episode_length]
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    if hasattr(state, "buffer"):
        for a, b in zip(jax.tree.leaves(state.buffer), jax.tree.leaves(native.buffer), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)


@BOTH
def test_running_on_is_exact_while_the_environment_stands(new):
    algorithm, policy = new()
    steps = 6 * algorithm.steps_per_iteration
    env = host()
    once = algorithm.run(algorithm.init(env, policy, key=jr.key(1)), 2 * steps, env=env)
    env = host()
    half = algorithm.run(algorithm.init(env, policy, key=jr.key(1)), steps, env=env)
    assert bits(algorithm.run(half, steps, env=env)) == bits(once)


@BOTH
def test_each_program_of_a_host_training_is_compiled_once(new):
    algorithm, policy = new()
    programs = (_host_compiled.begin_rollout, _host_compiled.act, _host_compiled.learn)
    env, before = host(), [program._cache_size() for program in programs]
    state = algorithm.init(env, policy, key=jr.key(1))
    for iterations in (1, 3, 5):
        state = algorithm.run(state, iterations * algorithm.steps_per_iteration, env=env)
    warmup = algorithm.warmup_rollouts > 0
    for program, count in zip(programs, before, strict=True):
        assert program._cache_size() - count <= 1 + warmup


def test_an_environment_that_moved_on_begins_anew_with_a_warning():
    algorithm, policy = ppo()
    env = host(env=TimeLimit(CartPole(), 11))
    state = algorithm.init(env, policy, key=jr.key(1))
    algorithm.run(state, 32, env=env)
    with pytest.warns(UserWarning, match="does not stand where this training state left it"):
        again = algorithm.run(state, 32, env=env)
    assert algorithm.steps_taken(again) == 32


@pytest.mark.parametrize("mode", MODES)
def test_episodes_of_different_lengths_are_counted_whole(mode):
    """Ten copies with random starts end at different times; every step belongs to one episode of at most 11 steps."""
    policy = MLPActorCriticPolicy(FIXED, hidden_sizes=(8,), key=jr.key(0))
    algorithm, totals = PPO(num_envs=10, num_steps=8, num_minibatches=1), Totals()
    env = host(mode, 10, TimeLimit(CartPole(reset_bound=0.2), 11))
    state = algorithm.run(algorithm.init(env, policy, key=jr.key(1)), 800, callbacks=[totals], env=env)
    assert totals.episodes > 70
    assert totals.steps + int(state.rollout.episode_length.sum()) == 800


def test_an_environment_that_resets_in_a_step_of_its_own_never_shows_that_step():
    """A vector environment of Gymnasium's own kind, which knows no reset by mask."""
    env = HostEnv(gymnasium.make_vec("CartPole-v1", 3, vectorization_mode="vector_entry_point"))
    policy = MLPQPolicy(env, hidden_sizes=(8,), key=jr.key(0))
    algorithm = DQN(num_envs=3, num_steps=2, capacity=600, learning_starts=600)
    state = algorithm.init(env, policy, key=jr.key(0))
    data = jax.tree.map(lambda x: np.asarray(x).reshape(600, *x.shape[3:]), state.buffer.data)
    assert data.terminated.sum() > 10
    assert (data.reward == 1).all()  # a step that only resets has reward 0
    moved = np.abs(data.next_observation - data.observation).max(1)
    assert moved.max() < 2  # a cart does not jump; and a reset after a fall would
    assert (np.abs(data.next_observation[data.terminated][:, [0, 2]]) > [2.4, 0.2]).any(1).all()
    assert state.env == HostSpec("CartPole-v1", env.observation_space, env.action_space, False)


def test_the_number_of_environments_must_agree():
    algorithm, policy = ppo()
    with pytest.raises(ValueError, match=r"PPO.num_envs=2, but .* is 3 host environments. Set num_envs=3"):
        algorithm.init(host(num_envs=3), policy, key=jr.key(0))


def test_run_wants_the_environment_of_the_training():
    algorithm, policy = ppo()
    state = algorithm.init(host(), policy, key=jr.key(0))
    with pytest.raises(TypeError, match="pass it as env="):
        algorithm.run(state, 32)


@pytest.mark.slow
def test_ppo_learns_cartpole_in_processes_of_their_own():
    env = make_host("CartPole-v1", 4, processes=True)
    policy = MLPActorCriticPolicy(env, key=jr.key(0))
    algorithm = PPO(learning_rate=1e-3, num_steps=64)
    policy = algorithm.learn(env, policy, total_timesteps=20_000, key=jr.key(1), callbacks=())
    returns = evaluate(policy, env, num_episodes=8, key=jr.key(2))
    env.close()
    assert returns.shape == (8,)
    assert returns.mean() > 150


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "steps", "least"), [("Pendulum-v1", 10_000, -250), ("InvertedPendulum-v5", 10_000, 50)]
)
def test_sac_learns_on_a_host_environment(task, steps, least):
    """With one of three keys; of sixteen that were tried, one was still at -660 on the pendulum."""
    if task == "InvertedPendulum-v5":
        pytest.importorskip("mujoco", reason="the extra `mujoco` is not installed")
    env = make_host(task)
    policy = MLPSACPolicy(env, hidden_sizes=(64, 64), key=jr.key(0))
    algorithm = SAC(learning_rate=1e-3, batch_size=128, capacity=10_000, learning_starts=500)
    before = evaluate(policy, env, num_episodes=10, key=jr.key(2)).mean()
    assert before < least
    learned = (algorithm.learn(env, policy, total_timesteps=steps, key=jr.key(i), callbacks=()) for i in (10, 11, 12))
    assert any(evaluate(policy, env, num_episodes=10, key=jr.key(2)).mean() > least for policy in learned)
