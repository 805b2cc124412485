"""The learning curve as CSV while training runs, and as a picture afterwards."""

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import final

from perdure._core import atomic_write, check_counts, import_extra

from ._base import AbstractCallback, Record


@final
class LearningCurve(AbstractCallback):
    """Appends one row to a CSV file at every chunk, written at once: step, seconds, steps a second, all metrics.

    A metric without a value, such as the return where no episode ended, is left empty. A training that goes on from a step
    keeps the whole rows of the file up to there, and its seconds go on from theirs; a new one begins a new file. The file is
    replaced in one step, so a crash leaves the old rows or the new; at most the row that was being written is half there,
    and is not read.

    Raises: ValueError for a frequency below 1; in training SaveError (an OSError) if the disk refuses.
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
        self._replace(before, list(before[0]) if before else [])

    def on_chunk(self, record: Record) -> bool:
        row: dict[str, float | str] = {
            "step": record.step,
            "seconds": self._seconds_before + record.elapsed_seconds,
            "steps_per_second": record.steps_per_second,
        }
        row |= {name: "" if math.isnan(value) else value for name, value in record.metrics.items()}
        if new := [name for name in row if name not in self._columns]:
            self._replace(rows_of(self.path), [*self._columns, *new])
        with open(self.path, "ab") as file:
            file.write(as_csv([row], self._columns))
        return False

    def _replace(self, rows: Sequence[Mapping[str, object]], columns: list[str]) -> None:
        self._columns = columns
        header = [dict(zip(columns, columns, strict=True))] if columns else []
        atomic_write(self.path, as_csv([*header, *rows], columns))

    def on_end(self, record: Record) -> None:
        with open(self.path, "ab") as file:
            os.fsync(file.fileno())


def as_csv(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.DictWriter(text, columns).writerows(rows)
    return text.getvalue().encode()


def rows_of(path: str | Path) -> list[dict[str, str]]:
    """The rows of a file of `LearningCurve`, up to the first that a crash has left unfinished."""
    text = Path(path).read_bytes().decode(errors="replace")
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith(("\n", "\r")):  # its last number may lack digits
        del lines[-1]
    header, *rows = list(csv.reader(lines)) or [[]]
    whole: list[dict[str, str]] = []
    for row in rows:
        named = dict(zip(header, row, strict=False))
        if len(row) != len(header) or not all(map(is_number, (named.get("step"), named.get("seconds")))):
            break
        whole.append(named)
    return whole


def is_number(text: str | None) -> bool:
    """Whether this is a number as they are written here, none of which is below 0."""
    return text is not None and text.isascii() and text[:1].isdigit() and text[-1:].isdigit()


def plot_learning_curve(csv_path: str | Path, png_path: str | Path, *, title: str) -> None:
    """Draw mean episode return over environment steps from the file of `LearningCurve` (extra `plot`).

    Raises: MissingExtraError without matplotlib, ValueError if no episode ended in the whole training.
    """
    import_extra("matplotlib", "plot")
    from matplotlib.figure import Figure

    rows = [row for row in rows_of(csv_path) if row.get("episode_return")]
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
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    atomic_write(png_path, picture.getvalue())
