"""Probe environments: each tests one skill of a learner, in seconds, against numbers that are known exactly."""

from . import _history as _history  # what files call these classes
from ._base import AbstractProbe as AbstractProbe, ProbeState as ProbeState
from ._probes import (
    Act as Act,
    ActOnMemory as ActOnMemory,
    ActOnObservation as ActOnObservation,
    ConstantValue as ConstantValue,
    Discount as Discount,
    Masked as Masked,
    Truncation as Truncation,
    ValueFromObservation as ValueFromObservation,
)
