"""Metrics for tools that draw them."""

from pathlib import Path
from typing import Any, final

from perdure._core import check_counts, import_extra

from ._base import AbstractCallback, Record, scalars


@final
class TensorBoard(AbstractCallback):
    """Writes all metrics as scalars to `logdir`, by environment steps (extra `tensorboard`, which is tensorboardX).

    Raises: MissingExtraError without tensorboardX, ValueError for a frequency below 1.
    """

    def __init__(self, logdir: str | Path, *, frequency: int | None = None):
        check_counts(frequency=frequency)
        import_extra("tensorboardX", "tensorboard")
        self.logdir, self.frequency = Path(logdir), frequency

    def on_start(self, record: Record) -> None:
        self._writer = import_extra("tensorboardX", "tensorboard").SummaryWriter(str(self.logdir))

    def on_chunk(self, record: Record) -> bool:
        for name, value in scalars(record).items():
            self._writer.add_scalar(name, value, record.step)
        return False

    def on_end(self, record: Record) -> None:
        self._writer.close()


@final
class WeightsAndBiases(AbstractCallback):
    """Logs all metrics to a run of Weights & Biases, by environment steps (extra `wandb`).

    `settings` go to `wandb.init`, such as `mode="offline"` or `config={...}`.

    Raises: MissingExtraError without wandb, ValueError for a frequency below 1.
    """

    def __init__(self, project: str, *, frequency: int | None = None, **settings: Any):
        check_counts(frequency=frequency)
        import_extra("wandb", "wandb")
        self.project, self.frequency, self.settings = project, frequency, settings

    def on_start(self, record: Record) -> None:
        self._run = import_extra("wandb", "wandb").init(project=self.project, **self.settings)

    def on_chunk(self, record: Record) -> bool:
        self._run.log(scalars(record), step=record.step)
        return False

    def on_end(self, record: Record) -> None:
        self._run.finish()
