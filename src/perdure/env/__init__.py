"""Environments: pure tasks of `reset` and `step`, the wrappers around them, and `make` to get one by name."""

from ._base import (
    AbstractEnv as AbstractEnv,
    TimeStep as TimeStep,
    autoreset as autoreset,
    reset_where_done as reset_where_done,
)
from ._make import (
    make as make,
    register_environment as register_environment,
    registered_environments as registered_environments,
)
from .wrapper import (
    AbstractObservationWrapper as AbstractObservationWrapper,
    AbstractWrapper as AbstractWrapper,
    ClipAction as ClipAction,
    FlattenObservation as FlattenObservation,
    FrameStack as FrameStack,
    Identity as Identity,
    NormalizeObservation as NormalizeObservation,
    NormalizeReward as NormalizeReward,
    RescaleAction as RescaleAction,
    TimeLimit as TimeLimit,
    TransformObservation as TransformObservation,
)
