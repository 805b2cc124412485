"""A callback, and what happened since it was last called."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from perdure.callback import AbstractCallback


class Listener:
    """Keeps the metrics of every iteration until its callback is due.

    A callback with a `frequency` is called with all iterations since its last call, so its record does not depend on where the
    clock and other callbacks cut the chunks.
    """

    def __init__(self, callback: AbstractCallback, steps_at: Callable[[int], int]):
        self.callback, self._steps_at = callback, steps_at
        self._logs: list[dict[str, np.ndarray]] = []

    def until_due(self, iteration: int) -> int | None:
        """How many iterations from here until the callback's frequency is reached once more; None: at any chunk's end."""
        if self.callback.frequency is None:
            return None
        at = self._steps_at(iteration)
        due = (at // self.callback.frequency + 1) * self.callback.frequency
        return -(-(due - at) // (self._steps_at(1) - self._steps_at(0)))

    def add(self, log: dict[str, np.ndarray]) -> None:
        """Take in the metrics of a chunk; arrays `(iterations,)`."""
        self._logs.append(log)

    def take(self) -> tuple[dict[str, float], Float[np.ndarray, "iterations 2"]]:
        """`metrics` and `ended` of a `Record` since the last call."""
        log = {name: np.concatenate([log[name] for log in self._logs]) for name in self._logs[0]}
        self._logs = []
        return summary(log), np.stack([log["episodes"], log["return_sum"]], axis=1)


def summary(log: dict[str, np.ndarray]) -> dict[str, float]:
    """Means over iterations; over the episodes that ended, for what is a sum over episodes."""
    sums = {name: float(log[name].sum()) for name in ("episodes", "return_sum", "length_sum")}
    episodes = sums["episodes"]
    return {
        "episodes": episodes,
        "episode_return": sums["return_sum"] / episodes if episodes else float("nan"),
        "episode_length": sums["length_sum"] / episodes if episodes else float("nan"),
        **{name: float(values.mean()) for name, values in log.items() if name not in sums},
    }
