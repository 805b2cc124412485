"""The alarm of a value: a float32 tensor that is finite where all is well and inf or NaN where a number was lost.

It is never negative, so that alarms can be added without cancelling. It has the rank of the value it speaks for, and
each of its dimensions is that of the value or one.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from perdure.graph import Shape, Tensor, constant, emit


@dataclasses.dataclass(frozen=True)
class Alarm:
    tensor: Tensor
    is_zero: bool  # exactly zero where all is well, so it may be added to a value as it stands


def where_nan(x: Tensor) -> Alarm:
    """Rings for NaN only: a comparison with an infinity is a plain comparison."""
    zero, nan = constant(np.float32(0)), constant(np.float32(np.nan))
    return Alarm(emit("Where", emit("Eq", x, x), zero, nan), True)


def where_not_finite(x: Tensor) -> Alarm:
    return Alarm(emit("Abs", x), False)


def combined(alarms: Sequence[Alarm | None]) -> Alarm | None:
    total: Alarm | None = None
    for alarm in alarms:
        if total is None or alarm is None or alarm.tensor is total.tensor:
            total = total or alarm
        else:
            total = Alarm(emit("Add", total.tensor, alarm.tensor), total.is_zero and alarm.is_zero)
    return total


def summed(alarm: Alarm, axes: Sequence[int], keep: bool) -> Alarm:
    y = emit("Reduce", alarm.tensor, kind="sum", axes=tuple(axes), keep=keep)
    return Alarm(y, alarm.is_zero)


def widened(alarm: Alarm | None, shape: Shape) -> Alarm:
    """In the full shape of the value; zeros where there is no alarm."""
    if alarm is None:
        return Alarm(emit("Broadcast", constant(np.float32(0)), shape=shape), True)
    if alarm.tensor.shape == shape:
        return alarm
    return Alarm(emit("Broadcast", alarm.tensor, shape=shape), alarm.is_zero)


def poisoned(value: Tensor, alarm: Alarm | None) -> Tensor:
    """The float value, NaN where the alarm rings."""
    if alarm is None:
        return value
    zero = alarm.tensor if alarm.is_zero else emit("Mul", alarm.tensor, constant(np.float32(0)))
    return emit("Add", value, zero)


def is_quiet(alarm: Alarm) -> Tensor:
    return emit("Lt", alarm.tensor, constant(np.float32(np.inf)))
