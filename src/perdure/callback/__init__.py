"""Callbacks: run on the host between compiled chunks of training."""

from ._base import AbstractCallback as AbstractCallback, Record as Record
from ._progress import ProgressBar as ProgressBar
