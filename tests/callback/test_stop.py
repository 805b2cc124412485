"""Trainings that end early, and the next ones that do not."""

import numpy as np

from perdure.callback import EarlyStopping, EvalCallback, StopOnSteps, _evaluation
from tests.support.callbacks import ENV, Notes, train


def test_early_stopping_at_a_frequency_does_not_depend_on_the_clock():
    callback = EarlyStopping(target=1.0, patience=2, frequency=60)
    assert int(train(callback).iteration) == 6  # at 60 and at 120 steps
    assert int(train(callback, Notes(20)).iteration) == 6  # a second training counts from nothing


def test_a_return_below_the_target_ends_the_row(monkeypatch):
    means = iter([5.0, 1.0, 5.0, 6.0, 7.0])
    monkeypatch.setattr(_evaluation, "evaluate", lambda *_, **__: np.array([next(means)]))
    watch = EvalCallback(ENV, frequency=20)
    assert int(train(watch, EarlyStopping(target=5.0, patience=2, of=watch)).iteration) == 4


def test_only_evaluations_of_this_training_count():
    watch = EvalCallback(ENV, frequency=40, num_episodes=2)
    stop = EarlyStopping(target=1.0, patience=2, of=watch)
    assert [int(train(watch, stop).iteration) for _ in range(2)] == [4, 4]
    assert [evaluated.step for evaluated in watch.history] == [40, 80, 40, 80]


def test_a_training_that_is_past_its_steps_ends_at_the_first_chance():
    state = train(steps=100)
    assert int(train(StopOnSteps(90), state=state).iteration) == 6
    assert int(train(StopOnSteps(130), state=state).iteration) == 7


def test_a_nan_neither_counts_nor_ends_the_row(monkeypatch):
    means = iter([5.0, float("nan"), 5.0, 1.0, 1.0, 1.0])
    monkeypatch.setattr(_evaluation, "evaluate", lambda *_, **__: np.array([next(means)]))
    watch = EvalCallback(ENV, frequency=20)
    assert int(train(watch, EarlyStopping(target=5.0, patience=2, of=watch)).iteration) == 3
