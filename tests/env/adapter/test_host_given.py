"""What Gymnasium's environments give is what is trained on: observations that lose nothing, and their legal actions."""

import numpy as np
import pytest
from jax import random as jr

from perdure import models
from perdure._core import MissingExtraError
from perdure.algorithm import DQN, PPO
from perdure.callback import AbstractCallback
from perdure.env.adapter import HostEnv, _host, checked
from perdure.evaluation import evaluate
from perdure.policy import MLPActorCriticPolicy, MLPQPolicy
from tests.support.trainings import bits

gymnasium = pytest.importorskip("gymnasium", reason="the extra `gym` is not installed")
spaces = gymnasium.spaces
MODES = ["NextStep", "SameStep", "Disabled"]


class Gives(gymnasium.Env):
    """Gives one observation at the reset, and another at every step."""

    action_space = spaces.Discrete(2)

    def __init__(self, space, first, then):
        self.observation_space, self.first, self.then = space, first, then

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.first, {}

    def step(self, action):
        return self.then, 0.0, False, False, {}


def vector(make, num_envs=2, mode="SameStep"):
    return HostEnv(gymnasium.vector.SyncVectorEnv([make] * num_envs, autoreset_mode=mode))


def box(dtype, shape=(2,)):
    integer = np.issubdtype(dtype, np.integer)
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if integer else (-np.inf, np.inf)
    return spaces.Box(low, high, shape, dtype)


LOST = [  # space, an observation that it holds, one that it does not, how that is told
    (box(np.uint8), np.zeros(2, np.uint8), np.array([0.25, 1.0]), r"\[0\] is 0.25, which uint8 does not hold"),
    (box(np.uint8), np.zeros(2, np.uint8), np.array([7, 300]), r"\[1\] is 300, which uint8"),
    (box(np.uint8), np.zeros(2, np.uint8), np.array([7, -1], np.int8), r"\[1\] is -1, which uint8"),
    (box(np.uint8), np.zeros(2, np.uint8), [0.0, np.nan], r"\[1\] is nan, which uint8"),
    (box(np.int32), np.zeros(2, np.int32), np.array([0, 2**31]), r"\[1\] is 2147483648, which int32"),
    (box(np.int64), np.zeros(2, np.int64), np.array([2**40, 0]), r"is 1099511627776, which int32"),
    (box(np.float32), np.zeros(2, np.float32), np.array([1.0, 1e300]), r"\[1\] is 1e\+300, which float32"),
    (box(np.float64), np.zeros(2), np.array([1.0, -1e39]), r"is -1e\+39, which float32"),
    (spaces.Discrete(4), 3, 3.7, r"is 3\.7, which int64"),
    (spaces.Discrete(4), np.int64(3), np.float32(2.5), r"is 2\.5, which int64"),
    (spaces.Discrete(4), 3, 4, r"is 4, but the observation space has 0 to 3"),
    (spaces.Discrete(4, start=-1), -1, 3, r"is 3, but the observation space has -1 to 2"),
    (spaces.Discrete(4), 0, 2**32 + 1, r"is 4294967297, but the observation space has 0 to 3"),
    (spaces.MultiDiscrete([2, 5]), np.array([1, 4]), np.array([2, 4]), r"\[0, 0\] is 2, but .* 0 to 1"),
    (spaces.MultiDiscrete([2, 5]), np.array([1, 4]), np.array([0.0, 0.5]), r"\[1\] is 0\.5, which int64"),
    (spaces.MultiBinary(2), np.ones(2, np.int8), np.array([1, 2], np.int8), r"\[0, 1\] is 2, but .* 0 to 1"),
    (spaces.MultiBinary(2), np.ones(2, np.int8), np.array([0.5, 1]), r"\[0\] is 0\.5, which int8"),
    (
        spaces.Dict({"a": box(np.uint8), "b": spaces.Tuple([box(np.float32), spaces.Discrete(2)])}),
        {"a": np.zeros(2, np.uint8), "b": (np.zeros(2, np.float32), 1)},
        {"a": np.zeros(2, np.uint8), "b": (np.zeros(2, np.float32), 0.5)},
        r"an observation\['b'\]\[1\] is 0\.5",
    ),
]


@pytest.mark.parametrize(("space", "good", "bad", "told"), LOST)
@pytest.mark.parametrize("mode", ["SameStep", "alone"])
def test_an_observation_that_its_space_does_not_hold_is_refused(space, good, bad, told, mode):
    def host(*given):
        return HostEnv(Gives(space, *given)) if mode == "alone" else vector(lambda: Gives(space, *given), mode=mode)

    with pytest.raises(ValueError, match=told):
        host(bad, good).reset(seed=0)
    env = host(good, bad)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=told):
        env.step(np.zeros(env.num_envs, np.int32))


class Last(Gives):
    """Its first step is its last."""

    def step(self, action):
        return self.then, 0.0, True, False, {}


@pytest.mark.parametrize("mode", MODES)
def test_the_last_observation_of_an_episode_is_looked_at_too(mode):
    env = vector(lambda: Last(box(np.int64), np.zeros(2, np.int64), np.array([0, 2**40])), mode=mode)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="which int32 does not hold"):
        env.step(np.zeros(2, np.int32))


HELD = [
    (box(np.uint8), np.array([0, 255]), np.uint8),
    (box(np.uint8), [0.0, 255.0], np.uint8),
    (box(np.int64), np.array([-(2**31), 2**31 - 1]), np.int32),
    (box(np.float32), np.array([0.1, np.pi]), np.float32),  # rounded, as everywhere around Gymnasium
    (box(np.float64), np.array([0.1, np.pi]), np.float32),
    (spaces.Discrete(4), 3.0, np.int32),
    (spaces.Discrete(4), True, np.int32),
    (spaces.MultiBinary(2), np.array([True, False]), np.int8),
]


@pytest.mark.parametrize(("space", "given", "dtype"), HELD)
def test_an_observation_of_another_dtype_that_loses_nothing_is_taken(space, given, dtype):
    env = vector(lambda: Gives(space, given, given))
    first = env.reset(seed=0)
    then = env.step(np.zeros(2, np.int32)).observation
    for observation in (first, then):
        assert observation.dtype == dtype
        np.testing.assert_array_equal(observation, np.stack([np.asarray(given).astype(dtype)] * 2))


class Corridor(gymnasium.Env):
    """Of three actions, two are legal: which, is told by a method, and another one is an error."""

    observation_space = spaces.Box(-1, 1, (3,), np.float32)
    action_space = spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.observe(), {}

    def observe(self):
        self.barred = int(self.np_random.integers(3))
        return np.eye(3, dtype=np.float32)[self.barred]

    def action_masks(self):
        if self.steps == 7:
            raise RuntimeError("the episode is over")
        return [action != self.barred for action in range(3)]

    def step(self, action):
        if action == self.barred:
            raise RuntimeError(f"action {action} is illegal")
        self.steps += 1
        terminated = self.steps == 7
        return self.observe(), float(action == (self.barred + 1) % 3), terminated, False, {}


class Limited(Corridor):
    """A time limit cuts its episodes."""

    def action_masks(self):
        return np.arange(3) != self.barred

    def step(self, action):
        observation, reward, ended, _, info = super().step(action)
        return observation, reward, False, ended, info


class Pair(Corridor):
    """Two choices at once; masks as a list of one array for each."""

    action_space = spaces.MultiDiscrete([3, 2])

    def action_masks(self):
        return [np.arange(3) != self.barred, np.array([False, True])]

    def step(self, action):
        if action[1] != 1:
            raise RuntimeError("the second choice is illegal")
        return super().step(action[0])


def policy_of(kind, env):
    return kind(env, hidden_sizes=(4,), key=jr.key(0))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("task", [Corridor, Limited, Pair])
def test_no_training_takes_an_action_that_a_method_bars(task, mode):
    """An illegal action is an error of the environment."""
    env = vector(task, mode=mode)
    ppo = PPO(num_envs=2, num_steps=8, num_minibatches=1, num_epochs=1)
    state = ppo.run(ppo.init(env, policy_of(MLPActorCriticPolicy, env), key=jr.key(1)), 160, env=env)
    evaluate(state.policy, env, num_episodes=4, deterministic=False, key=jr.key(2))
    evaluate(state.policy, env, num_episodes=4, key=jr.key(2))
    if task is not Pair:
        dqn = DQN(num_envs=2, num_steps=2, batch_size=8, capacity=64, learning_starts=16)
        env = vector(task, mode=mode)
        dqn.run(dqn.init(env, policy_of(MLPQPolicy, env), key=jr.key(1)), 80, env=env)


def test_a_method_bars_what_info_bars_and_bars_it_after_a_wrapper_too():
    """The same training to the bit, whichever way the environment tells its legal actions."""

    class Tells(gymnasium.Wrapper):
        def reset(self, **settings):
            observation, _ = self.env.reset(**settings)
            return observation, {"action_mask": np.array(self.env.unwrapped.action_masks(), np.int8)}

        def step(self, action):
            *given, _ = self.env.step(action)
            return *given, {"action_mask": np.array(self.env.unwrapped.action_masks(), np.int8)}

    states = []
    dqn = DQN(num_envs=2, num_steps=2, batch_size=8, capacity=64, learning_starts=16)
    for make in (Limited, lambda: Tells(Limited()), lambda: gymnasium.wrappers.TransformReward(Limited(), float)):
        env = vector(make)
        states.append(bits(dqn.run(dqn.init(env, policy_of(MLPQPolicy, env), key=jr.key(1)), 80, env=env)))
    assert states[0] == states[1] == states[2]


def test_an_agent_trains_and_is_watched_with_legal_actions_only():
    agent = models.PPO(Corridor(), num_steps=16, num_minibatches=1, policy_settings={"hidden_sizes": (4,)}, seed=0)

    class Counts(AbstractCallback):
        episodes = 0

        def on_chunk(self, record):
            self.episodes += record.metrics["episodes"]
            return False

    counts = Counts()
    agent.train(total_timesteps=64, callbacks=(counts,))
    assert counts.episodes == 9  # of 7 steps


@pytest.mark.parametrize(
    ("masks", "told"),
    [
        ([True], r"shape \(2, 1\), but 2 environments with Discrete actions have \(2, 3\)"),
        ([False] * 3, "the action mask of environment 0 bars every action"),
    ],
)
def test_masks_that_do_not_fit_are_refused(masks, told):
    class Wrong(Corridor):
        def action_masks(self):
            return masks

    with pytest.raises(ValueError, match=told):
        vector(Wrong).reset(seed=0)


def test_environments_of_which_only_some_tell_masks_are_refused():
    env = HostEnv(gymnasium.vector.SyncVectorEnv([Corridor, lambda: Silent()], autoreset_mode="SameStep"))
    with pytest.raises(ValueError, match="environment 1 tells no action mask, but others do"):
        env.reset(seed=0)


class Silent(gymnasium.Env):
    """Spaces as those of `Corridor`, all actions legal."""

    observation_space, action_space = Corridor.observation_space, Corridor.action_space

    def reset(self, *, seed=None, options=None):
        return np.zeros(3, np.float32), {}


def checked_corridor():
    return checked(Corridor())


def in_process(make):
    return gymnasium.vector.AsyncVectorEnv([make], context="spawn", autoreset_mode="SameStep")


def test_masks_from_other_processes_are_heard():
    env = HostEnv(in_process(checked_corridor))
    try:
        env.reset(seed=0)
        for _ in range(20):
            env.step(env.action_mask.argmax(1).astype(np.int32))
    finally:
        env.close()


def test_masks_from_other_processes_that_would_not_be_heard_are_told():
    env = in_process(Corridor)
    try:
        with pytest.raises(
            TypeError, match=r"AsyncVectorEnv tell their legal actions .* perdure\.env\.adapter\.checked"
        ):
            HostEnv(env)
    finally:
        env.close()


def test_what_looks_at_an_environment_is_no_part_of_it():
    env = vector(Corridor)
    assert env.making == HostEnv(env.envs).making
    assert not [line for line in env.making if "perdure" in line]
    env.reset(seed=0)
    saved, other = env.state(), vector(Corridor)
    assert "CheckedEnv" not in str(saved)
    other.reset(seed=1)
    other.restore(saved)
    for _ in range(3):
        action = env.action_mask.argmax(1).astype(np.int32)
        np.testing.assert_array_equal(env.step(action).observation, other.step(action).observation)


def test_a_gymnasium_that_is_too_old_is_told(monkeypatch):
    monkeypatch.delattr(gymnasium.vector, "AutoresetMode")
    for begin in (lambda: HostEnv(Corridor()), lambda: _host.make_host("CartPole-v1")):
        with pytest.raises(MissingExtraError, match=r'too old to train on.*pip install "gymnasium>=1\.1"'):
            begin()
