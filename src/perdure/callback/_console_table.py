"""A table that grows on the terminal: a row every so many episodes."""

import math
from collections import deque
from typing import final

from perdure._core import check_counts

from ._base import AbstractCallback, Record

WIDTHS = {"episode": 9, "steps": 11, "return": 10, "steps/s": 9}


@final
class ConsoleTable(AbstractCallback):
    """Episode, mean return over the last `window_size` episodes, losses and steps a second, every `display_count` episodes.

    Rows come where chunks of training end, so at the first chance after each multiple; the last one at the end. A window
    is made of whole iterations: as many as are needed for `window_size` episodes.

    Raises: ValueError for numbers below 1.
    """

    def __init__(self, *, display_count: int = 100, window_size: int = 100):
        check_counts(display_count=display_count, window_size=window_size)
        self.display_count, self.window_size = display_count, window_size

    def on_start(self, record: Record) -> None:
        from rich.console import Console

        self._console = Console(highlight=False)
        self._window: deque[tuple[float, float]] = deque()  # episodes and their summed returns, by iteration
        self._episodes, self._shown, self._losses = 0.0, -1.0, list[str]()

    def on_chunk(self, record: Record) -> bool:
        before = self._episodes
        for episodes, return_sum in record.ended:
            if episodes:
                self._window.append((episodes, return_sum))
                self._episodes += episodes
        while sum(n for n, _ in self._window) - (self._window[0][0] if self._window else 0) >= self.window_size:
            self._window.popleft()
        if before // self.display_count < self._episodes // self.display_count:
            self._row(record, record.steps_per_second)
        return False

    def on_end(self, record: Record) -> None:
        if self._episodes > self._shown:
            self._row(record, record.steps_per_second)

    def _row(self, record: Record, speed: float) -> None:
        if self._shown < 0:
            self._losses = [name for name in record.metrics if name.endswith("_loss")]
            widths = WIDTHS | {name: len(name) + 2 for name in self._losses}
            head = "".join(f"{name:>{width}}" for name, width in widths.items())
            self._console.print(head, style="bold", soft_wrap=True)  # a row is one line, also in a log file
        self._shown = self._episodes
        episodes = sum(n for n, _ in self._window)
        mean = sum(total for _, total in self._window) / episodes if episodes else math.nan
        cells = [f"{self._episodes:>9,.0f}{record.step:>11,}{mean:>10.1f}{speed:>9,.0f}"]
        cells += [f"{record.metrics.get(name, math.nan):>{len(name) + 2}.4g}" for name in self._losses]
        self._console.print("".join(cells), soft_wrap=True)
