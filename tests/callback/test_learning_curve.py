"""The file of a learning curve, whatever a crash left of it."""

import os

import numpy as np
import pytest
from jax import random as jr

from perdure.algorithm import PPO
from perdure.callback import LearningCurve, Record, _learning_curve, plot_learning_curve
from perdure.callback._learning_curve import rows_of
from perdure.env.classic_control import CartPole
from perdure.policy import MLPActorCriticPolicy

ALGORITHM = PPO(num_envs=1, num_steps=4, num_minibatches=1)
STATE = ALGORITHM.begin(CartPole(), MLPActorCriticPolicy(CartPole(), hidden_sizes=(2,), key=jr.key(0)), key=jr.key(0))


def record(step, **metrics):
    """What a training tells that has got to this step."""
    now = {"episode_return": 0.5, "loss": float("nan")} | metrics
    return Record(step, 20_000, step // 4, step / 7, 123.456, now, np.zeros((0, 2)), ALGORITHM, STATE, None)


@pytest.fixture
def curve(tmp_path):
    """A curve of four rows, begun at step 0."""
    curve = LearningCurve(tmp_path / "curve.csv")
    curve.on_start(record(0))
    for step in (100, 200, 300, 12345):
        curve.on_chunk(record(step))
    curve.on_end(record(12345))
    return curve


def test_a_file_cut_at_any_byte_keeps_its_whole_rows_and_no_shortened_number(curve):
    whole, content = rows_of(curve.path), curve.path.read_bytes()
    assert [row["step"] for row in whole] == ["100", "200", "300", "12345"]
    kept = []
    for length in range(len(content)):
        curve.path.write_bytes(content[:length])
        again = LearningCurve(curve.path)
        again.on_start(record(12345))
        again.on_chunk(record(12346))
        *before, new = rows_of(curve.path)
        assert before == whole[: len(before)]
        assert new["step"] == "12346"
        assert float(new["seconds"]) == (float(before[-1]["seconds"]) if before else 0.0) + 12346 / 7
        kept.append(len(before))
    assert kept == sorted(kept)
    assert kept[-1] == 4  # only the line feed after the carriage return is cut
    ends = [place for place, byte in enumerate(content) if byte == ord("\r")][1:]
    assert [kept.index(count) for count in (1, 2, 3, 4)] == [place + 1 for place in ends]


@pytest.mark.parametrize(
    "rest", [b"\0" * 40 + b"\r\n", b"step,seconds\r\n", b"1,2\r\n", b"\xff\xfe\r\n", b"-1,2,3,4,5\r\n"]
)
def test_rows_end_where_the_file_is_not_ours_any_more(curve, rest):
    lines = curve.path.read_bytes().splitlines(keepends=True)
    curve.path.write_bytes(b"".join([*lines[:3], rest, *lines[3:]]))
    assert [row["step"] for row in rows_of(curve.path)] == ["100", "200"]


def test_a_file_is_replaced_in_one_step(curve, monkeypatch):
    """What has its name is the old file until the new one is whole."""
    before = curve.path.read_bytes()

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        LearningCurve(curve.path).on_start(record(200))
    assert curve.path.read_bytes() == before
    assert os.listdir(curve.path.parent) == ["curve.csv"]


def test_a_metric_that_is_new_gets_a_column(curve):
    curve.on_chunk(record(12346, entropy=2.0))
    assert [row["entropy"] for row in rows_of(curve.path)] == ["", "", "", "", "2.0"]
    assert rows_of(curve.path)[0]["step"] == "100"


def test_a_picture_is_replaced_in_one_step(curve, monkeypatch):
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    picture = curve.path.with_suffix(".png")
    written = []
    monkeypatch.setattr(_learning_curve, "atomic_write", lambda path, data: written.append((path, data[:4])))
    plot_learning_curve(curve.path, picture, title="a")
    assert written == [(picture, b"\x89PNG")]
    assert not picture.exists()
