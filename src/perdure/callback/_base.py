"""What a callback is told, and what it may do."""

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float

from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv


@dataclasses.dataclass(frozen=True)
class Record:
    """What happened up to now, told to callbacks on the host between compiled chunks of training."""

    step: int  # environment steps since `init`, all environments together
    total_steps: int  # the step at which this call of `learn` or `run` ends
    iteration: int
    elapsed_seconds: float  # since this call began, compilation included
    steps_per_second: float  # over the last chunk; over everything in `on_end`
    # Of all iterations since the callback's last call; of the last chunk in `on_end`:
    metrics: dict[str, float]  # means; `episode_return` is NaN where no episode ended
    ended: Float[np.ndarray, "iterations 2"]  # of each: episodes that ended, sum of their returns; empty in `on_end`
    algorithm: Any  # what trains: settings and mathematics
    state: Any  # the training state; `state.policy` acts
    host_env: HostEnv | None  # the host environment that is trained on; None for a native one


class AbstractCallback:
    """Hooks on the host. They never run inside the compiled loop; training without them pays nothing."""

    frequency: int | None = None  # environment steps between two calls of `on_chunk`; None: whenever a chunk ends

    def on_start(self, record: Record) -> None:
        """Before the first chunk; `metrics` is empty."""

    def on_chunk(self, record: Record) -> bool:
        """After a chunk, at the first iteration past every multiple of `frequency`. True stops the training here.

        Those that come after the one that stops it are told as well, and all are where it ends after so many episodes.
        """
        return False

    def new_env(self, record: Record) -> AbstractEnv | None:
        """An environment to go on with in place of `record.state.env`, or None: asked after `on_start` and `on_chunk`.

        It may differ in the values of arrays alone, or all is compiled anew. Training on a host environment takes none.
        """
        return None

    def on_end(self, record: Record) -> None:
        """After the last chunk, also when training was interrupted or something failed; not if `on_start` did."""


def scalars(record: Record) -> dict[str, float]:
    """What loggers write down: the metrics that have a value in this chunk, and the speed."""
    named = {name: value for name, value in record.metrics.items() if not math.isnan(value)}
    return {**named, "steps_per_second": record.steps_per_second}
