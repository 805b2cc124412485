"""The loop around the loop: chunks, callbacks, interruption."""

import os
import signal

import pytest
from jax import random as jr

from perdure.callback import AbstractCallback
from tests.support.trainings import CARTPOLE, Recorder, bits, new_dqn, new_ppo

BOTH = pytest.mark.parametrize("new", [new_ppo, new_dqn], ids=["PPO", "DQN"])


@BOTH
def test_chunks_and_callbacks_do_not_change_what_is_learned(new):
    class Every(AbstractCallback):
        frequency = 20

    algorithm, policy = new()
    state = algorithm.init(CARTPOLE, policy, key=jr.key(1))
    n = 30 * algorithm.steps_per_iteration
    assert bits(algorithm.run(state, n)) == bits(algorithm.run(state, n, callbacks=[Every()]))


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
