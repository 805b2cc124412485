"""Callbacks: run on the host between compiled chunks of training."""

from typing import Never

from ._base import AbstractCallback as AbstractCallback, Record as Record
from ._console_table import ConsoleTable as ConsoleTable
from ._curriculum import AdaptiveCurriculum as AdaptiveCurriculum, ScheduledCurriculum as ScheduledCurriculum
from ._evaluation import EvalCallback as EvalCallback
from ._learning_curve import LearningCurve as LearningCurve, plot_learning_curve as plot_learning_curve
from ._loggers import TensorBoard as TensorBoard, WeightsAndBiases as WeightsAndBiases
from ._progress import ProgressBar as ProgressBar
from ._stop import EarlyStopping as EarlyStopping, StopOnSteps as StopOnSteps, StopOnTime as StopOnTime
from ._video import RecordVideos as RecordVideos


def __getattr__(name: str) -> Never:
    if name == "SaveCheckpoints":  # no AttributeError, of which `from perdure.callback import` would hide the message
        raise ImportError("SaveCheckpoints is in perdure.checkpoint: from perdure.checkpoint import SaveCheckpoints.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
