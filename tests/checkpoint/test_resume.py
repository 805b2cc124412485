"""Training that stops, is saved, and goes on in another process ends as if it had never stopped: every bit."""

import json
import os
import random
import subprocess
import sys
import warnings
from importlib.util import find_spec

import pytest
from jax import random as jr

from perdure.checkpoint import load, save
from perdure.env.adapter import HostEnv, make_host
from tests.support import resuming
from tests.support.trainings import MEMORIES, TRAININGS

PROGRAM = resuming.__file__
NATIVE = [f"{name} native" for name in TRAININGS if name not in MEMORIES]
HOST = [f"{name} classic" for name in TRAININGS if name not in MEMORIES]
MUJOCO = ["SAC mujoco", "TD3 mujoco"]
REMEMBERING = [*(f"{name} native" for name in MEMORIES), "PPO, GRU classic"]


def needs(*modules):
    lacking = [module for module in modules if find_spec(module) is None]
    return pytest.mark.skipif(bool(lacking), reason=f"needs {' and '.join(lacking)}")


EVERY_KIND = pytest.mark.parametrize(
    "kinds",
    [
        pytest.param(NATIVE, id="native"),
        pytest.param(HOST, id="host", marks=needs("gymnasium")),
        pytest.param(MUJOCO, id="mujoco", marks=needs("gymnasium", "mujoco")),
        pytest.param(REMEMBERING, id="memory", marks=needs("gymnasium")),
    ],
)


def in_a_process(*arguments, without=()):
    """The exit code of `resuming.py`, and what it printed; `without` some variables of the environment."""
    command = [sys.executable, PROGRAM, *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    env = {name: value for name, value in env.items() if name not in without}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


@pytest.mark.slow
@EVERY_KIND
def test_going_on_in_another_process_changes_no_bit(kinds, tmp_path):
    code, expected = in_a_process("train", tmp_path, *kinds)
    assert code == -9, expected  # it was killed
    code, found = in_a_process("resume", tmp_path, *kinds)
    assert code == 0, found
    assert found == expected


@pytest.mark.parametrize("name", ["PPO", "SAC"])
def test_wherever_it_stops_it_ends_the_same(name, tmp_path):
    training = TRAININGS[name]
    algorithm = training.algorithm
    start = algorithm.init(training.env, training.policy(), key=jr.key(1))
    total = 400
    end, _ = resuming.run(algorithm, start, total, None)
    expected = resuming.digest(end, [])
    for split in random.Random(0).sample(range(1, total), resuming.SPLITS):
        state = algorithm.run(start, split * algorithm.steps_per_iteration)
        save(tmp_path / "a", algorithm, state, buffer=hasattr(state, "buffer"), force=True)
        found = load(tmp_path / "a", buffer=hasattr(state, "buffer"))
        end = found.algorithm.run(found.state, (total - split) * algorithm.steps_per_iteration)
        assert resuming.digest(end, []) == expected, split


def one_iteration_on(env):
    training = TRAININGS["PPO"]
    state = training.algorithm.init(env, training.policy(env), key=jr.key(1))
    return training.algorithm, training.algorithm.run(state, 1, env=env)


def test_an_environment_that_cannot_be_saved_is_told(tmp_path):
    gymnasium = pytest.importorskip("gymnasium", reason="needs the extra gym")

    class Odd(gymnasium.Wrapper):
        def __init__(self, env):
            super().__init__(env)
            self.remembered = {1, 2}

    envs = gymnasium.vector.SyncVectorEnv([lambda: Odd(gymnasium.make("CartPole-v1"))] * 2, autoreset_mode="SameStep")
    env = HostEnv(envs)
    algorithm, state = one_iteration_on(env)
    with pytest.warns(UserWarning, match=r"attribute 'remembered' of .*Odd is builtins.set"):
        save(tmp_path / "a", algorithm, state, env=env)
    with pytest.warns(UserWarning, match=r"begin anew: attribute 'remembered'"):
        found = load(tmp_path / "a", env=HostEnv(envs))
    env.reset(seed=5)
    with pytest.warns(UserWarning, match="not bit for bit"):
        algorithm.run(found.state, 1, env=env)


def test_another_environment_is_not_put_where_the_saved_one_stood(tmp_path):
    pytest.importorskip("gymnasium", reason="needs the extra gym")
    env = make_host("CartPole-v1", 2)
    algorithm, state = one_iteration_on(env)
    save(tmp_path / "a", algorithm, state, env=env)
    other = make_host("CartPole-v1", 2, sutton_barto_reward=True)
    other.envs.envs[1] = other.envs.envs[1].env.env  # one wrapper less, beneath what looks at it
    with pytest.warns(
        UserWarning, match="could not be put where it stood, so its episodes begin anew: the saved environment"
    ):
        load(tmp_path / "a", env=other)


def test_an_agent_goes_on_on_its_host_environment_without_a_warning(tmp_path):
    gymnasium = pytest.importorskip("gymnasium", reason="needs the extra gym")
    from perdure import models

    env = gymnasium.make("CartPole-v1")
    agent = models.PPO(env, num_steps=8, seed=0)
    agent.train(total_timesteps=24, callbacks=()).save(tmp_path / "a")
    agent.train(total_timesteps=24, callbacks=())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = models.PPO.load(tmp_path / "a").train(gymnasium.make("CartPole-v1"), total_timesteps=24, callbacks=())
    assert resuming.digest(loaded.training_state, []) == resuming.digest(agent.training_state, [])
