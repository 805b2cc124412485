"""When enough is enough."""

import math
from typing import final

from perdure._core import check_counts

from ._base import AbstractCallback, Record
from ._evaluation import EvalCallback


@final
class EarlyStopping(AbstractCallback):
    """Stops as soon as the mean episode return has reached `target` `patience` times in a row.

    The return is that of training, over `frequency` environment steps each time (None: over one chunk, whose length depends
    on the clock), or that of an `EvalCallback` given as `of`, which comes before this one in the list of callbacks. Where no
    episode ended there is nothing to count. Every training counts from nothing.

    Raises: ValueError for a target that is not finite, or a patience or frequency below 1.
    """

    def __init__(
        self, *, target: float, patience: int = 3, frequency: int | None = None, of: EvalCallback | None = None
    ):
        if not math.isfinite(target):
            raise ValueError(f"target={target}, but a return to reach is a finite number.")
        check_counts(patience=patience, frequency=frequency)
        self.target, self.patience, self.frequency, self.of = target, patience, frequency, of

    def on_start(self, record: Record) -> None:
        self._reached, self._evaluations = 0, len(self.of.history) if self.of else 0

    def on_chunk(self, record: Record) -> bool:
        if self.of is None:
            returns = [record.metrics["episode_return"]]
        else:
            returns, self._evaluations = (
                [e.mean_return for e in self.of.history[self._evaluations :]],
                len(self.of.history),
            )
        for mean_return in returns:
            if not math.isnan(mean_return):  # NaN: no episode ended
                self._reached = self._reached + 1 if self.target <= mean_return < math.inf else 0
        return self._reached >= self.patience


@final
class StopOnTime(AbstractCallback):
    """Stops at the end of the chunk in which `seconds` on the clock have passed, compilation included.

    Raises: ValueError for no time.
    """

    def __init__(self, seconds: float):
        if not seconds > 0:
            raise ValueError(f"seconds={seconds}, but it must be positive.")
        self.seconds = seconds

    def on_chunk(self, record: Record) -> bool:
        return record.elapsed_seconds >= self.seconds


@final
class StopOnSteps(AbstractCallback):
    """Stops once `steps` environment steps have been taken since `init`, all environments together.

    A training that has taken as many already ends after one chunk more.

    Raises: ValueError for less than one.
    """

    def __init__(self, steps: int):
        check_counts(steps=steps)
        self.steps = steps

    def on_start(self, record: Record) -> None:
        self.frequency = self.steps if record.step < self.steps else None  # past it: stop at the first chance

    def on_chunk(self, record: Record) -> bool:
        return record.step >= self.steps
