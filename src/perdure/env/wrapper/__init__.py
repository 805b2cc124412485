"""Environments around environments. Action masks and `unwrapped` pass through all of them."""

from ._base import AbstractWrapper as AbstractWrapper, Identity as Identity
from ._time_limit import TimeLimit as TimeLimit
