"""Probe environments: each tests one skill of a learner, in seconds, against numbers that are known exactly."""

from ._base import AbstractProbe as AbstractProbe, ProbeState as ProbeState
from ._probes import (
    Act as Act,
    ActOnObservation as ActOnObservation,
    ConstantValue as ConstantValue,
    Discount as Discount,
    Masked as Masked,
    Memory as Memory,
    TimeLimit as TimeLimit,
    ValueFromObservation as ValueFromObservation,
)
