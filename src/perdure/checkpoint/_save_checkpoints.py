"""Checkpoints while training."""

import math
import re
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, final

from perdure._core import NonFiniteError, check_counts, make_directories, owning
from perdure.callback import AbstractCallback, Record

from ._background import BackgroundSaver
from ._find import RETURN, Retention, checkpoints_in


@final
class SaveCheckpoints(AbstractCallback):
    """Saves the whole training state every `frequency` environment steps, and at the end, also of an interrupted training.

    One that is not finite any more is never saved, so it takes no place from those before.

    They are in `checkpoints/NAME/saves/ENVIRONMENT_STEPS`, with `saves/model_config.json` to tell in words what they are of;
    `perdure.checkpoint.latest` finds the newest, and `perdure.models.Agent.load` goes on from it. While it trains, the folder
    `checkpoints/NAME` is its own: another training is refused there.

    Args:
        name: Of the training.
        frequency: Environment steps between two of them.
        buffer: With the replay buffer, without which going on is not exact.
        keep_last: How many of the newest stay; by default, with the two that follow left out as well, all.
        keep_best: How many of those with the highest return stay; the return is that of the episodes since the one before.
        keep_every: One for every so many environment steps stays.
        background: Write in another thread, while training goes on.
        directory: In place of `checkpoints`.
        metadata: Yours, into each of them: anything that JSON has.

    Raises: ValueError for numbers below 1; at the start of training FileExistsError if there are checkpoints of later steps
    than where it begins, BlockingIOError (an OSError) if another training saves there.
    """

    def __init__(
        self,
        name: str,
        *,
        frequency: int = 10_000,
        buffer: bool = False,
        keep_last: int | None = None,
        keep_best: int | None = None,
        keep_every: int | None = None,
        background: bool = True,
        directory: str | Path = "checkpoints",
        metadata: Mapping[str, Any] | None = None,
    ):
        check_counts(frequency=frequency)
        self.frequency, self.buffer, self.background = frequency, buffer, background
        self.retention = Retention(keep_last=keep_last, keep_best=keep_best, keep_every=keep_every)
        self.folder = Path(directory) / name / "saves"
        self.metadata = dict(metadata or {})
        self._saved_at = -1

    def on_start(self, record: Record) -> None:
        self._saved_at = -1
        make_directories(self.folder.parent)
        with ExitStack() as owner:
            owner.enter_context(owning(self.folder.parent))
            self._check_later(record)
            self._owner = owner.pop_all()
        self._saver = BackgroundSaver()

    def _check_later(self, record: Record) -> None:
        """Raises: FileExistsError if there are checkpoints of later steps."""
        later = (
            [one for one in checkpoints_in(self.folder)[0] if one.steps > record.step] if self.folder.is_dir() else []
        )
        if later:
            raise FileExistsError(
                f"{later[-1].path} is of step {later[-1].steps}, but this training begins at {record.step}. Choose "
                "another name, move the folder away, or go on from there: perdure.checkpoint.latest."
            )

    def on_chunk(self, record: Record) -> bool:
        self._save(record)
        return False

    def on_end(self, record: Record) -> None:
        try:
            if record.step > self._saved_at and record.iteration:
                with suppress(NonFiniteError):  # the training says so itself, and the finite one from before stays
                    self._save(record)
        finally:
            with self._owner:
                self._saver.close()

    def _save(self, record: Record) -> None:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", record.state.env.name)
        mean_return = record.metrics.get(RETURN, math.nan)
        rated = {RETURN: mean_return} if math.isfinite(mean_return) else {}
        self._saver.save(
            self.folder / f"{name}_{record.step}",
            record.algorithm,
            record.state,
            env=record.host_env,
            buffer=self.buffer and hasattr(record.state, "buffer"),
            config=True,
            force=True,
            metadata={**self.metadata, **rated},
            then=lambda: self.retention.apply(self.folder),
        )
        self._saved_at = record.step
        if not self.background:
            self._saver.wait()
