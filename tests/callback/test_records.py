"""Every callback is told the same whatever the clock does, hears of the end, and may hand in another environment."""

import numpy as np
import pytest

from perdure.callback import AbstractCallback, ConsoleTable, LearningCurve, StopOnTime, TensorBoard, WeightsAndBiases
from perdure.callback._curriculum import with_field
from tests.support.callbacks import ENV, Notes, train


def test_a_record_tells_of_all_iterations_since_the_last_call():
    """However often somebody else cuts the chunks."""
    alone, rare, often = Notes(100), Notes(100), Notes(20)
    train(alone)
    train(rare, often)
    assert [len(record.ended) for record in rare.records] == [5, 5]
    np.testing.assert_array_equal(rare.records[1].ended, np.concatenate([r.ended for r in often.records[5:]]))
    assert [r.metrics for r in alone.records] == [r.metrics for r in rare.records]
    episodes, return_sum = rare.records[1].ended.sum(0)
    assert rare.records[1].metrics["episodes"] == episodes > 5
    assert rare.records[1].metrics["episode_return"] == pytest.approx(return_sum / episodes)
    mean_loss = np.mean([r.metrics["value_loss"] for r in often.records[5:]])
    assert rare.records[1].metrics["value_loss"] == pytest.approx(mean_loss, rel=1e-5)


class Fails(AbstractCallback):
    def __init__(self, hook):
        self.hook = hook

    def on_start(self, record):
        self._file = None
        if self.hook == "start":
            del self._file
            raise OSError("disk full")

    def on_chunk(self, record):
        if self.hook == "chunk":
            raise OSError("disk full")
        return False

    def on_end(self, record):
        assert self._file is None
        if self.hook == "end":
            raise OSError("disk full")


@pytest.mark.parametrize(("hook", "later"), [("start", []), ("chunk", ["start", "end"]), ("end", ["start", "end"])])
def test_a_callback_that_fails_keeps_nobody_else_from_ending_and_hides_nothing(hook, later):
    before, after = Notes(), Notes()
    with pytest.raises(OSError, match="disk full"):
        train(before, Fails(hook), after, steps=20)
    assert before.hooks == ["start", "end"]
    assert after.hooks == later


def test_one_environment_may_be_handed_in_again_and_again():
    """Training reuses the memory of its state, not that of what a callback holds."""

    class Always(AbstractCallback):
        def __init__(self):
            self.env, self.frequency = with_field(ENV, "gravity", 3.0), 20

        def new_env(self, record):
            return self.env

    notes = Notes(20)
    state = train(notes, Always(), steps=60)
    assert notes.gravity == [3.0, 3.0, 3.0]
    assert float(state.env.env.gravity) == 3.0


@pytest.mark.parametrize(
    "build",
    [
        lambda path: LearningCurve(path / "curve.csv", frequency=0),
        lambda path: TensorBoard(path, frequency=0),
        lambda path: WeightsAndBiases("project", frequency=0),
    ],
)
def test_a_frequency_of_nothing_is_refused(build, tmp_path):
    with pytest.raises(ValueError, match="frequency=0, but at least 1 is needed"):
        build(tmp_path)


def test_rows_of_the_table_are_not_broken_where_there_is_no_terminal(capsys, monkeypatch):
    """A pipe has no width, and rich would break lines at 80 columns."""
    monkeypatch.setenv("COLUMNS", "40")
    train(ConsoleTable(display_count=1000), StopOnTime(1e6), steps=40)
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[-2:] == ["policy_loss", "value_loss"]
    assert len(row.split()) == 6


def test_saving_checkpoints_is_found_in_the_room_that_does_it():
    import perdure.callback

    with pytest.raises(ImportError, match=r"from perdure\.checkpoint import SaveCheckpoints"):
        from perdure.callback import SaveCheckpoints  # noqa: F401
    with pytest.raises(AttributeError, match="has no attribute 'SaveCheckpoint'"):
        perdure.callback.SaveCheckpoint  # noqa: B018
