"""A progress bar: return, steps a second, time left."""

from typing import final

from ._base import AbstractCallback, Record


@final
class ProgressBar(AbstractCallback):
    """One line on the terminal while training runs (rich). Silent where standard error is no terminal."""

    def on_start(self, record: Record) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} steps"),
            TextColumn("return {task.fields[episode_return]}"),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task(
            type(record.algorithm).__name__,
            total=record.total_steps,
            completed=record.step,
            episode_return="-",
            speed="compiling",
        )
        self._episode_return = "-"
        if self._progress.console.is_terminal:
            self._progress.start()

    def on_chunk(self, record: Record) -> bool:
        mean_return = record.metrics.get("episode_return", float("nan"))
        if mean_return == mean_return:  # NaN: no episode ended in this chunk, keep the last one
            self._episode_return = f"{mean_return:.1f}"
        self._progress.update(
            self._task,
            completed=record.step,
            episode_return=self._episode_return,
            speed=f"{record.steps_per_second:,.0f} steps/s",
        )
        return False

    def on_end(self, record: Record) -> None:
        self._progress.stop()
