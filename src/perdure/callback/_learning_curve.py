"""The learning curve as CSV while training runs, and as a picture afterwards."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from perdure._core import check_counts, import_extra

from ._base import AbstractCallback, Record


@final
class LearningCurve(AbstractCallback):
    """Appends one row to a CSV file at every chunk, flushed at once: step, seconds, steps a second, all metrics.

    A metric without a value, such as the return where no episode ended, is left empty. A training that goes on from a step
    keeps the rows of the file up to there, and its seconds go on from theirs; a new one begins a new file.

    Raises: ValueError for a frequency below 1.
    """

    def __init__(self, path: str | Path, *, frequency: int | None = None):
        check_counts(frequency=frequency)
        self.path, self.frequency = Path(path), frequency

    def on_start(self, record: Record) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        goes_on = record.step > record.algorithm.steps_before_learning
        before = rows_of(self.path) if goes_on and self.path.exists() else []
        before = [row for row in before if int(row["step"]) <= record.step]
        self._seconds_before = float(before[-1]["seconds"]) if before else 0.0
        self._file = open(self.path, "w", newline="")  # noqa: SIM115 - closed in on_end
        self._writer: Any = None
        for row in before:
            self._write(row)

    def on_chunk(self, record: Record) -> bool:
        row: dict[str, float | str] = {
            "step": record.step,
            "seconds": self._seconds_before + record.elapsed_seconds,
            "steps_per_second": record.steps_per_second,
        }
        row |= {name: "" if math.isnan(value) else value for name, value in record.metrics.items()}
        self._write(row)
        return False

    def _write(self, row: Mapping[str, object]) -> None:
        if self._writer is None:
            self._writer = csv.DictWriter(self._file, list(row))
            self._writer.writeheader()
        self._writer.writerow(row)
        self._file.flush()

    def on_end(self, record: Record) -> None:
        self._file.close()


def rows_of(path: str | Path) -> list[dict[str, str]]:
    """The rows of a file of `LearningCurve`."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def plot_learning_curve(csv_path: str | Path, png_path: str | Path, *, title: str) -> None:
    """Draw mean episode return over environment steps from the file of `LearningCurve` (extra `plot`).

    Raises: MissingExtraError without matplotlib, ValueError if no episode ended in the whole training.
    """
    import_extra("matplotlib", "plot")
    from matplotlib.figure import Figure

    rows = [row for row in rows_of(csv_path) if row["episode_return"]]
    if not rows:
        raise ValueError(
            f"{csv_path}: no episode ended during training, so there is no return to draw. Train for longer."
        )
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([int(row["step"]) for row in rows], [float(row["episode_return"]) for row in rows], linewidth=1.2)
    axes.set(title=title, xlabel="environment steps", ylabel="mean return of the episodes that ended")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    axes.grid(alpha=0.3)
    figure.savefig(png_path, dpi=120)
