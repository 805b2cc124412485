"""The loop around the loop: exact resume, callbacks, budgets, interruption, settings."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.algorithm import A2C, DDPG, DQN, PPO, SAC, TD3, TQC
from perdure.algorithm._math import parameters_of
from perdure.algorithm._native import run_compiled
from perdure.algorithm._reward_scale import RewardScale
from perdure.callback import AbstractCallback
from perdure.env import make, probe
from perdure.policy import (
    MLPActorCriticPolicy,
    MLPDeterministicPolicy,
    MLPQPolicy,
    MLPSACPolicy,
    RecurrentActorCriticPolicy,
    RecurrentQPolicy,
)
from tests.support.trainings import CARTPOLE, OFF_POLICY, ON_POLICY, PENDULUM, TRAININGS


def new(algorithm, policy, env=CARTPOLE, **settings):
    """An algorithm and a small policy with a normaliser."""
    return algorithm(**settings), policy(env, hidden_sizes=(8,), normalize_observation=True, key=jr.key(0))


def new_ppo(**settings):
    return new(PPO, MLPActorCriticPolicy, num_minibatches=2, **ON_POLICY, **settings)


def new_dqn(**settings):
    return new(DQN, MLPQPolicy, **OFF_POLICY, **settings)


@pytest.mark.parametrize("name", TRAININGS)
def test_resuming_is_exact(name):
    training = TRAININGS[name]
    algorithm = training.algorithm
    state = algorithm.init(training.env, training.policy(), key=jr.key(1))
    weak = [getattr(x, "weak_type", False) for x in jax.tree.leaves(state)]  # it would compile again once they are not
    assert not any(weak)
    n = 7 * algorithm.steps_per_iteration
    once, twice = algorithm.run(state, 2 * n), algorithm.run(algorithm.run(state, n), n)
    assert bits(once) == bits(twice)
    assert bits(once) != bits(state)
    assert algorithm.steps_taken(once) == algorithm.steps_before_learning + 2 * n
    assert once.policy.normalizer.count == algorithm.steps_taken(once)  # every observation once
    for critic in getattr(getattr(once, "learner", None), "critics", None) or ():  # they see what the policy sees
        np.testing.assert_array_equal(critic.normalizer.mean, once.policy.normalizer.mean)


@pytest.mark.filterwarnings("ignore:Some donated buffers")  # the count of iterations, which is not given back
@pytest.mark.parametrize("name", ["DQN", "SAC"])
def test_no_step_copies_what_is_as_long_as_the_replay_buffer(name):
    training = TRAININGS[name]
    one = {"num_envs": 1, "num_steps": 1, "num_updates": 1}  # where XLA would take the loop over updates apart
    algorithm = dataclasses.replace(training.algorithm, **one, capacity=54_321)
    state = algorithm.init(training.env, training.policy(), key=jr.key(1))
    program = run_compiled.lower(algorithm, state, jnp.asarray(1), jnp.asarray(jnp.inf)).compile().compiled.as_text()
    assert "[54321,1,1]" in program
    assert [line for line in program.splitlines() if "[54321," in line and " copy(" in line] == []


BOTH = pytest.mark.parametrize("new", [new_ppo, new_dqn], ids=["PPO", "DQN"])


def bits(state):
    """Every array of a training state as bytes, keys too."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)  # noqa: E731
    leaves = jax.tree.leaves(eqx.filter(state, eqx.is_array))
    return [np.asarray(jr.key_data(x) if is_key(x) else x).tobytes() for x in leaves]


@BOTH
def test_chunks_and_callbacks_do_not_change_what_is_learned(new):
    class Every(AbstractCallback):
        frequency = 20

    algorithm, policy = new()
    state = algorithm.init(CARTPOLE, policy, key=jr.key(1))
    n = 30 * algorithm.steps_per_iteration
    assert bits(algorithm.run(state, n)) == bits(algorithm.run(state, n, callbacks=[Every()]))


@BOTH
def test_run_leaves_the_state_and_the_policy_that_went_in_valid(new):
    algorithm, policy = new()
    state = algorithm.init(CARTPOLE, policy, key=jr.key(1))
    before = bits(state), bits(policy)
    algorithm.run(state, 1)
    algorithm.learn(CARTPOLE, policy, total_timesteps=100, key=jr.key(2), callbacks=())
    assert (bits(state), bits(policy)) == before


@BOTH
def test_two_processes_learn_the_same_bits(new):
    program = f"""
import sys; sys.path[:0] = {sys.path!r}
import hashlib, json
from tests.algorithm.test_training import *
algorithm, policy = {new.__name__}()
state = algorithm.run(algorithm.init(CARTPOLE, policy, key=jr.key(1)), 200)
print(json.dumps([hashlib.sha256(b).hexdigest() for b in bits(state)]))
"""
    compiles_anew = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**compiles_anew, "PYTHONHASHSEED": seed},
        )
        for seed in "12"
    ]
    assert json.loads(runs[0].stdout) == json.loads(runs[1].stdout)


class Recorder(AbstractCallback):
    def __init__(self, frequency=None, stop_at=None):
        self.frequency, self.stop_at, self.steps, self.events = frequency, stop_at, [], []

    def on_start(self, record):
        self.events.append("start")

    def on_chunk(self, record):
        self.steps.append(record.step)
        self.metrics = record.metrics
        return self.stop_at is not None and record.step >= self.stop_at

    def on_end(self, record):
        self.events.append("end")


def test_callbacks_are_called_at_the_first_iteration_past_each_multiple_of_their_frequency():
    algorithm, policy = new_ppo()  # 16 steps an iteration
    recorder = Recorder(frequency=40)
    algorithm.learn(CARTPOLE, policy, total_timesteps=200, key=jr.key(0), callbacks=[recorder])
    assert recorder.steps == [48, 80, 128, 160, 208]
    assert recorder.events == ["start", "end"]


def test_a_callback_stops_the_training():
    algorithm, policy = new_ppo()
    recorder = Recorder(frequency=16, stop_at=64)
    state = algorithm.run(algorithm.init(CARTPOLE, policy, key=jr.key(0)), 10_000, callbacks=[recorder, Recorder()])
    assert algorithm.steps_taken(state) == 64


def test_episode_returns_are_those_of_the_environment():
    """Every episode of the time-limit probe is three steps of reward 1."""
    env = probe.Truncation()
    policy = MLPActorCriticPolicy(env, hidden_sizes=(), key=jr.key(0))
    recorder = Recorder()
    PPO(num_envs=2, num_steps=9, num_minibatches=1).learn(
        env, policy, total_timesteps=18, key=jr.key(0), callbacks=[recorder]
    )
    assert recorder.metrics["episodes"] == 6
    assert recorder.metrics["episode_return"] == 3
    assert recorder.metrics["episode_length"] == 3


def test_the_first_minibatch_of_an_iteration_has_ratio_one():
    """With one epoch of one minibatch, the policy that is updated is the one that acted, also with a normaliser."""
    algorithm, policy = new_ppo()
    algorithm = eqx.tree_at(lambda a: (a.num_epochs, a.num_minibatches), algorithm, (1, 1))
    recorder = Recorder()
    algorithm.learn(CARTPOLE, policy, total_timesteps=160, key=jr.key(0), callbacks=[recorder])
    assert recorder.metrics["clip_fraction"] == 0
    assert recorder.metrics["approximate_kl"] == pytest.approx(0, abs=1e-6)


def test_a_target_kl_ends_the_updates_of_an_iteration():
    """A target below any change lets exactly the first minibatch, where nothing has changed yet, be learned from."""
    recorder = Recorder()
    settings = {"num_minibatches": 2, "num_epochs": 3, "learning_rate": 0.1}
    algorithm, policy = new(PPO, MLPActorCriticPolicy, **ON_POLICY, **settings, target_kl=1e-6)
    state = algorithm.init(CARTPOLE, policy, key=jr.key(0))
    after = algorithm.run(state, 1, callbacks=[recorder])
    assert recorder.metrics["stopped"] == pytest.approx(5 / 6)
    counts = [x for x in jax.tree.leaves(after.optimizer_state) if x.dtype == jnp.int32]
    assert counts
    assert all(count == 1 for count in counts)


def test_the_clip_falls_with_the_learning_rate():
    algorithm, _ = new_ppo(anneal_timesteps=160, anneal_clip=True)  # 16 steps an iteration
    assert [round(float(algorithm.clip_at(jnp.array(i))), 3) for i in (0, 5, 10, 20)] == [0.2, 0.1, 0.0, 0.0]


def test_rewards_are_divided_by_the_deviation_of_the_discounted_return():
    reward, terminated = jnp.array([[1.0], [2.0], [3.0]]), jnp.array([[False], [True], [False]])
    scale = RewardScale(1).update(reward, terminated, discount=0.5)
    sums = np.array([1, 2, 2 * 0.5 + 3])  # an end forgets what was before it, as in Gymnasium
    assert float(scale(jnp.array(1.0))) == pytest.approx(1 / sums.std(), rel=1e-5)


def test_the_temperature_rises_where_the_policy_is_not_random_enough():
    algorithm, policy = new(SAC, MLPSACPolicy, PENDULUM, **OFF_POLICY)
    state = algorithm.init(PENDULUM, policy, key=jr.key(0))
    batch = algorithm.draw(state, None, key=jr.key(1))[1]
    for entropy, rises in ((-1.5, True), (-0.5, False)):  # the target is minus the number of action entries: -1
        log_temperature, _ = algorithm.temperature_step(state.learner, batch, jnp.full(batch.reward.shape, entropy))
        assert (log_temperature > 0) == rises


def test_the_learning_rate_falls_to_zero():
    def moved(algorithm, policy):
        state = algorithm.run(algorithm.init(CARTPOLE, policy, key=jr.key(0)), 160)
        then = algorithm.run(state, 160).policy
        return max(
            float(jnp.abs(a - b).max())
            for a, b in zip(jax.tree.leaves(then.actor), jax.tree.leaves(state.policy.actor), strict=True)
        )

    assert moved(*new_ppo(anneal_timesteps=160)) < 1e-7
    assert moved(*new_ppo()) > 1e-3


@pytest.mark.parametrize("name", ["DQN", "TD3", "SAC"])
def test_off_policy_learning_rates_fall_to_zero(name):
    """TD3's policy takes every second step of its critics, and is there at the same time."""
    training = TRAININGS[name]
    before = training.algorithm.steps_before_learning
    algorithm = dataclasses.replace(training.algorithm, num_updates=4, anneal_timesteps=before + 60)
    start = algorithm.init(training.env, training.policy(), key=jr.key(0))
    nearly, done = algorithm.run(start, 54), algorithm.run(start, 60)
    then = algorithm.run(done, 60)
    trained = [[bits(parameters_of(net)) for net in (s.policy, s.learner.critics)] for s in (nearly, done, then)]
    assert trained[1] == trained[2]
    assert trained[0][0] != trained[1][0]


def test_the_target_network_follows_at_its_interval():
    algorithm, policy = new_dqn(target_interval=8)  # four updates an iteration
    state = algorithm.init(CARTPOLE, policy, key=jr.key(0))
    one, two = algorithm.run(state, 6), algorithm.run(state, 12)
    assert bits(one.learner.target) == bits(state.learner.target)
    assert bits(two.learner.target.network) == bits(two.policy.network)


@pytest.fixture
def hears_sigint():
    """Whoever runs the tests may have it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_sigint")
def test_ctrl_c_keeps_what_was_learned():
    class PressCtrlC(AbstractCallback):
        frequency = 32

        def on_chunk(self, record):
            os.kill(os.getpid(), signal.SIGINT)
            return False

    algorithm, policy = new_ppo()
    state = algorithm.init(CARTPOLE, policy, key=jr.key(0))
    with pytest.warns(UserWarning, match="Interrupted after 32 of 16000 steps"):
        kept = algorithm.run(state, 16_000, callbacks=[PressCtrlC()])
    assert bits(kept) == bits(algorithm.run(state, 32))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: PPO(num_minibatches=3),
            ValueError,
            r"PPO.num_minibatches=3 does not divide .* = 512. Try num_minibatches=1",
        ),
        (lambda: PPO(num_minibatches=6), ValueError, "Try num_minibatches=2"),
        (
            lambda: PPO(discount=1.5),
            ValueError,
            r"PPO.discount = 1.5, but it must lie in \[0, 1\]. The default is 0.99",
        ),
        (lambda: PPO(learning_rate=0.0), ValueError, "PPO.learning_rate = 0.0, but it must be positive"),
        (lambda: PPO(learning_rate=float("nan")), ValueError, "PPO.learning_rate = nan"),
        (lambda: PPO(num_envs=0), ValueError, "PPO.num_envs = 0"),
        (lambda: DQN(batch_size=0), ValueError, "DQN.batch_size = 0"),
        (
            lambda: DQN(capacity=100, learning_starts=1_000),
            ValueError,
            "DQN.learning_starts=1000 is more than capacity=100",
        ),
        (lambda: DQN(epsilon_end=-0.1), ValueError, "DQN.epsilon_end = -0.1"),
        (lambda: DQN(target_interval=0), ValueError, "DQN.target_interval = 0"),
        (lambda: DQN(n_step=0), ValueError, "DQN.n_step = 0"),
        (lambda: DQN(priority_exponent=1.5), ValueError, "DQN.priority_exponent = 1.5"),
        (lambda: PPO(anneal_clip=True), ValueError, "PPO.anneal_clip = True, but anneal_timesteps = None"),
        (lambda: PPO(target_kl=0.0), ValueError, "PPO.target_kl = 0.0, but it must be positive"),
        (lambda: A2C(rms_decay=2.0), ValueError, "A2C.rms_decay = 2.0"),
        (lambda: TD3(policy_delay=0), ValueError, "TD3.policy_delay = 0"),
        (lambda: DDPG(exploration_noise=-1.0), ValueError, "DDPG.exploration_noise = -1.0"),
        (lambda: SAC(temperature=0.0), ValueError, "SAC.temperature = 0.0"),
        (lambda: TQC(num_dropped=25), ValueError, "TQC.num_dropped=25 of num_quantiles=25 leaves nothing"),
    ],
)
def test_settings_are_checked_when_made(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_budget_below_one_iteration_is_refused():
    algorithm, policy = new_dqn()
    with pytest.raises(ValueError, match="learns for the first time after 30"):
        algorithm.learn(CARTPOLE, policy, total_timesteps=29, key=jr.key(0))


def test_algorithms_refuse_a_policy_of_another_kind():
    algorithm, policy = new_ppo()[0], new_dqn()[1]
    with pytest.raises(TypeError, match="PPO needs an actor-critic policy"):
        algorithm.init(CARTPOLE, policy, key=jr.key(0))
    algorithm, policy = new_dqn()[0], new_ppo()[1]
    with pytest.raises(TypeError, match="DQN needs a Q policy"):
        algorithm.init(CARTPOLE, policy, key=jr.key(0))


@pytest.mark.parametrize("algorithm", [SAC(), TQC()])
def test_soft_actors_of_choices_are_for_discrete_sac(algorithm):
    with pytest.raises(TypeError, match=r"action_space is Discrete.* needs a Box. Use DiscreteSAC"):
        algorithm.init(CARTPOLE, MLPSACPolicy(CARTPOLE, key=jr.key(0)), key=jr.key(0))


def test_a_policy_with_a_memory_needs_settings_that_suit_it():
    def refused(algorithm, policy, message):
        with pytest.raises(ValueError, match=message):
            algorithm.init(CARTPOLE, policy(CARTPOLE, memory_size=4, key=jr.key(0)), key=jr.key(0))

    refused(PPO(num_envs=2, num_steps=8), RecurrentActorCriticPolicy, "num_minibatches=4 does not divide num_envs=2")
    refused(DQN(n_step=3), RecurrentQPolicy, "DQN has n_step=3")
    refused(
        DQN(learning_starts=20), RecurrentQPolicy, "learning_starts=20, but the first sequences .* are there after 96"
    )


def test_a_policy_for_other_spaces_is_refused():
    algorithm, _ = new_ppo()
    policy = MLPActorCriticPolicy(make("Pendulum-v1"), key=jr.key(0))
    with pytest.raises(ValueError, match="observation_space"):
        algorithm.init(CARTPOLE, policy, key=jr.key(0))


def test_the_optimiser_and_the_rate_of_critics_can_be_chosen():
    env = make("Pendulum-v1")
    policy = MLPDeterministicPolicy(env, hidden_sizes=(4,), key=jr.key(0))
    small = {"batch_size": 8, "capacity": 64, "learning_starts": 8}

    def train(**settings):
        algorithm = DDPG(**small, **settings)
        state = algorithm.run(algorithm.init(env, policy, key=jr.key(0)), 4)
        return state.learner.policy, state.learner.critics

    policy_slow, critics = train(learning_rate=1e-9, critic_learning_rate=1e-2)
    fresh_policy, fresh_critics = policy, train(learning_rate=1e-9)[1]
    for a, b in zip(jax.tree.leaves(policy_slow), jax.tree.leaves(fresh_policy), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    moved = [np.abs(a - b).max() for a, b in zip(jax.tree.leaves(critics), jax.tree.leaves(fresh_critics), strict=True)]
    assert max(moved) > 1e-2
    assert bits(train(optimizer_name="sgd")) != bits(train(optimizer_name="adam"))
    with pytest.raises(ValueError, match=r"DDPG\.optimizer_name = 'adma' is not known"):
        DDPG(optimizer_name="adma")
    with pytest.raises(ValueError, match="the policy is its own critic"):
        DQN(critic_learning_rate=1e-3)
