"""Callbacks: run on the host between compiled chunks of training."""

from ._base import AbstractCallback as AbstractCallback, Record as Record
from ._console_table import ConsoleTable as ConsoleTable
from ._learning_curve import LearningCurve as LearningCurve, plot_learning_curve as plot_learning_curve
from ._progress import ProgressBar as ProgressBar
