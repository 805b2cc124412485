"""Callbacks see what happens, change nothing unless that is what they are for, and always hear of the end."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure._core import leaf_to_numpy, leaves_with_paths
from perdure.algorithm import PPO
from perdure.callback import (
    AbstractCallback,
    AdaptiveCurriculum,
    ConsoleTable,
    EarlyStopping,
    EvalCallback,
    ScheduledCurriculum,
    StopOnSteps,
    StopOnTime,
    TensorBoard,
    WeightsAndBiases,
)
from perdure.env import TimeLimit, make
from perdure.env.classic_control import CartPole
from perdure.evaluation import evaluate
from perdure.policy import MLPActorCriticPolicy

ENV = TimeLimit(CartPole(), 10)
ALGORITHM = PPO(num_envs=2, num_steps=10, num_minibatches=1, num_epochs=1)  # 20 steps an iteration


class Notes(AbstractCallback):
    """Keeps every record."""

    def __init__(self, frequency=None):
        self.records, self.gravity, self.frequency, self.ended = [], [], frequency, 0

    def on_chunk(self, record):
        self.records.append(record)
        self.gravity.append(float(record.state.env.unwrapped.gravity))  # now: training goes on in the state's memory
        return False

    def on_end(self, record):
        self.ended += 1


def train(*callbacks, steps=200, env=ENV, algorithm=ALGORITHM):
    policy = MLPActorCriticPolicy(env, hidden_sizes=(4,), key=jr.key(0))
    return algorithm.run(algorithm.init(env, policy, key=jr.key(1)), steps, callbacks=callbacks)


def bits(tree):
    return {path: leaf_to_numpy(leaf).tobytes() for path, leaf in leaves_with_paths(tree)}


def test_records_tell_every_episode_that_ended():
    notes = Notes()
    train(notes)
    ended = np.concatenate([record.ended for record in notes.records])
    assert ended.shape == (10, 2)
    assert ended[:, 0].sum() == sum(record.metrics["episodes"] for record in notes.records)
    for record in notes.records:
        if record.metrics["episodes"]:
            np.testing.assert_allclose(
                record.ended[:, 1].sum() / record.ended[:, 0].sum(), record.metrics["episode_return"]
            )


def test_the_table_has_a_row_every_so_many_episodes_with_the_mean_over_the_window(capsys):
    notes = Notes(20)  # so that each chunk is one iteration
    train(notes, ConsoleTable(display_count=5, window_size=4))
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["episode", "steps", "return", "steps/s", "policy_loss", "value_loss"]
    ended = np.concatenate([record.ended for record in notes.records])
    totals = ended[:, 0].cumsum()
    crossed = [i for i in range(10) if totals[i] // 5 > (totals[i - 1] if i else 0) // 5]
    expected = crossed if totals[-1] == totals[crossed[-1]] else [*crossed, 9]
    assert [int(row.split()[0]) for row in rows] == [totals[i] for i in expected]
    i = expected[0]
    first = max(j for j in range(i + 1) if ended[j : i + 1, 0].sum() >= 4)
    mean = ended[first : i + 1, 1].sum() / ended[first : i + 1, 0].sum()
    assert float(rows[0].split()[2]) == pytest.approx(mean, abs=0.051)


def test_evaluation_changes_nothing_and_keeps_the_best(tmp_path):
    watch = EvalCallback(ENV, frequency=60, num_episodes=3, path=tmp_path / "best", key=jr.key(5))
    assert bits(train(watch)) == bits(train())
    assert [evaluated.step for evaluated in watch.history] == [60, 120, 180]
    assert watch.best_return == max(evaluated.mean_return for evaluated in watch.history)
    again = evaluate(watch.best_policy, ENV, num_episodes=3, key=jr.key(5)).mean()
    assert again == watch.best_return
    loaded = MLPActorCriticPolicy.deserialize(tmp_path / "best", ENV, hidden_sizes=(4,), key=jr.key(9))
    assert bits(loaded) == bits(watch.best_policy)


def test_early_stopping_waits_for_the_target_several_times_in_a_row():
    notes = Notes(20)
    state = train(notes, EarlyStopping(target=1.0, patience=3))
    with_end = [record.iteration for record in notes.records if record.metrics["episodes"]]
    assert int(state.iteration) == with_end[2]
    assert int(train(EarlyStopping(target=11.0, patience=1)).iteration) == 10  # never reached
    watch = EvalCallback(ENV, frequency=40, num_episodes=2)
    assert int(train(watch, EarlyStopping(target=1.0, patience=2, of=watch)).iteration) == 4


def test_training_stops_on_steps_and_on_time():
    assert int(train(StopOnSteps(90)).iteration) == 5
    assert int(train(StopOnTime(1e-6)).iteration) == 1
    assert int(train(StopOnTime(1e6)).iteration) == 10


def test_tensorboard_gets_every_metric_that_has_a_value(tmp_path):
    pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")
    from tensorboardX.event_file_writer import EventFileWriter  # noqa: F401 - the real package
    from tensorboardX.proto.event_pb2 import Event

    notes = Notes(20)
    train(notes, TensorBoard(tmp_path, frequency=20))
    (path,) = tmp_path.iterdir()
    data, at, found = path.read_bytes(), 0, {}
    while at < len(data):  # TFRecord: length, its checksum, the event, its checksum
        length = int.from_bytes(data[at : at + 8], "little")
        event = Event.FromString(data[at + 12 : at + 12 + length])
        at += 16 + length
        found.update({(event.step, value.tag): value.simple_value for value in event.summary.value})
    record = notes.records[0]
    assert found[(20, "value_loss")] == pytest.approx(record.metrics["value_loss"], rel=1e-6)
    assert {step for step, _ in found} >= {20, 40, 200}
    assert not any(math.isnan(value) for value in found.values())


def test_weights_and_biases_gets_a_run(tmp_path):
    pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    logger = WeightsAndBiases("perdure-test", mode="offline", dir=str(tmp_path), settings={"silent": True})
    train(logger, steps=40)
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))


def test_a_scheduled_curriculum_sets_fields_without_compiling_anew():
    notes = Notes(20)
    curriculum = ScheduledCurriculum({"gravity": lambda step: 5.0 + step}, frequency=20)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: compiled.append(name))
    state = train(curriculum, notes, steps=100)
    assert notes.gravity == [25.0, 45.0, 65.0, 85.0, 105.0]  # set by the callback before this one
    assert isinstance(state.env.env.gravity, jax.Array)
    first = len([name for name in compiled if "backend_compile" in name])
    train(curriculum, steps=100)
    assert len([name for name in compiled if "backend_compile" in name]) - first < 5  # the loop was there already


def test_fields_of_a_curriculum_are_those_that_are_played():
    """With gravity upside down the pole that falls rises: episodes last longer."""
    notes = Notes()
    train(ScheduledCurriculum({"force": lambda step: 0.0}), notes, env=TimeLimit(CartPole(), 200), steps=800)
    unforced = [r.metrics["episode_length"] for r in notes.records if r.metrics["episodes"]]
    notes = Notes()
    train(notes, env=TimeLimit(CartPole(), 200), steps=800)
    forced = [r.metrics["episode_length"] for r in notes.records if r.metrics["episodes"]]
    assert np.mean(unforced) > 1.5 * np.mean(forced)


def test_an_adaptive_curriculum_takes_the_next_level_when_the_return_is_there():
    notes = Notes(20)
    curriculum = AdaptiveCurriculum("gravity", (1.0, 2.0, 3.0), target=1.0, patience=2, frequency=20)
    train(curriculum, notes)
    assert notes.gravity[-1] == 3.0
    ended = [i for i, record in enumerate(notes.records) if record.metrics["episodes"]]
    assert notes.gravity[ended[1] - 1 : ended[1] + 1] == [1.0, 2.0]


def test_a_curriculum_for_a_field_that_is_not_there_says_which_are():
    with pytest.raises(ValueError, match=r"CartPole has no field 'gravty'. It has gravity, cart_mass"):
        train(ScheduledCurriculum({"gravty": lambda step: 1.0}))


def test_every_callback_hears_of_the_end_when_one_fails():
    class Fails(AbstractCallback):
        def on_chunk(self, record):
            raise OSError("disk full")

    before, after = Notes(), Notes()
    with pytest.raises(OSError, match="disk full"):
        train(before, Fails(), after)
    assert (before.ended, after.ended) == (1, 1)


@pytest.mark.parametrize(
    ("make_callback", "message"),
    [
        (lambda: ConsoleTable(display_count=0), "display_count=0"),
        (lambda: EvalCallback(ENV, frequency=0), "frequency=0"),
        (lambda: EarlyStopping(target=float("nan")), "target=nan"),
        (lambda: EarlyStopping(target=1.0, patience=0), "patience=0"),
        (lambda: StopOnTime(0.0), "seconds=0"),
        (lambda: StopOnSteps(0), "steps=0"),
        (lambda: AdaptiveCurriculum("gravity", (), target=1.0), "levels is empty"),
    ],
)
def test_numbers_are_checked(make_callback, message):
    with pytest.raises(ValueError, match=message):
        make_callback()


def test_a_curriculum_is_resumed_from_the_environment_in_the_state():
    state = train(ScheduledCurriculum({"gravity": lambda step: 5.0}), env=make("CartPole-v1"))
    assert float(ALGORITHM.run(state, 20).env.env.gravity) == 5.0
    assert jnp.isfinite(state.rollout.observation).all()
