"""Environments around environments. Action masks and `unwrapped` pass through all of them."""

from ._action import ClipAction as ClipAction, RescaleAction as RescaleAction
from ._base import AbstractWrapper as AbstractWrapper, Identity as Identity
from ._frame_stack import FrameStack as FrameStack
from ._normalize import NormalizeObservation as NormalizeObservation, NormalizeReward as NormalizeReward
from ._observation import (
    AbstractObservationWrapper as AbstractObservationWrapper,
    FlattenObservation as FlattenObservation,
    TransformObservation as TransformObservation,
)
from ._time_limit import TimeLimit as TimeLimit
