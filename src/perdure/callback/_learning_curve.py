"""The learning curve as CSV while training runs, and as a picture afterwards."""

import csv
import math
from pathlib import Path
from typing import Any, final

from perdure._core import check_counts, import_extra

from ._base import AbstractCallback, Record


@final
class LearningCurve(AbstractCallback):
    """Appends one row to a CSV file at every chunk, flushed at once: step, seconds, steps a second, all metrics.

    A metric without a value, such as the return where no episode ended, is left empty.

    Raises: ValueError for a frequency below 1.
    """

    def __init__(self, path: str | Path, *, frequency: int | None = None):
        check_counts(frequency=frequency)
        self.path, self.frequency = Path(path), frequency

    def on_start(self, record: Record) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "w", newline="")  # noqa: SIM115 - closed in on_end
        self._writer: Any = None

    def on_chunk(self, record: Record) -> bool:
        row: dict[str, float | str] = {
            "step": record.step,
            "seconds": record.elapsed_seconds,
            "steps_per_second": record.steps_per_second,
        }
        row |= {name: "" if math.isnan(value) else value for name, value in record.metrics.items()}
        if self._writer is None:
            self._writer = csv.DictWriter(self._file, list(row))
            self._writer.writeheader()
        self._writer.writerow(row)
        self._file.flush()
        return False

    def on_end(self, record: Record) -> None:
        self._file.close()


def plot_learning_curve(csv_path: str | Path, png_path: str | Path, *, title: str) -> None:
    """Draw mean episode return over environment steps from the file of `LearningCurve` (extra `plot`).

    Raises: MissingExtraError without matplotlib, ValueError if no episode ended in the whole training.
    """
    import_extra("matplotlib", "plot")
    from matplotlib.figure import Figure

    with open(csv_path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["episode_return"]]
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
