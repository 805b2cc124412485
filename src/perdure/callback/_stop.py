"""When enough is enough."""

import math
from typing import final

from ._base import AbstractCallback, Record
from ._evaluation import EvalCallback


@final
class EarlyStopping(AbstractCallback):
    """Stops as soon as the mean episode return has reached `target` `patience` times in a row.

    The return is that of training, chunk by chunk, or that of an `EvalCallback` given as `of`, which comes before this one
    in the list of callbacks.

    Raises: ValueError for a target that is not finite or a patience below 1.
    """

    def __init__(self, *, target: float, patience: int = 3, of: EvalCallback | None = None):
        if not math.isfinite(target):
            raise ValueError(f"target={target}, but a return to reach is a finite number.")
        if patience < 1:
            raise ValueError(f"patience={patience}, but at least 1 is needed.")
        self.target, self.patience, self.of = target, patience, of
        self._reached = self._heard = 0

    def on_chunk(self, record: Record) -> bool:
        if self.of is None:
            news = [record.metrics["episode_return"]]
        else:
            news, self._heard = [e.mean_return for e in self.of.history[self._heard :]], len(self.of.history)
        for mean_return in news:
            if not math.isnan(mean_return):  # NaN: no episode ended in this chunk
                self._reached = self._reached + 1 if mean_return >= self.target else 0
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

    Raises: ValueError for less than one.
    """

    def __init__(self, steps: int):
        if steps < 1:
            raise ValueError(f"steps={steps}, but at least 1 is needed.")
        self.steps = self.frequency = steps

    def on_chunk(self, record: Record) -> bool:
        return record.step >= self.steps
