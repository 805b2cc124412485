"""Probe environments: each tests one skill of a learner, in seconds, against numbers that are known exactly."""

from ._base import AbstractProbe as AbstractProbe
from ._base import ProbeState as ProbeState
from ._probes import (
    Act as Act,
)
from ._probes import (
    ActOnObservation as ActOnObservation,
)
from ._probes import (
    ConstantValue as ConstantValue,
)
from ._probes import (
    Discount as Discount,
)
from ._probes import (
    Masked as Masked,
)
from ._probes import (
    Memory as Memory,
)
from ._probes import (
    TimeLimit as TimeLimit,
)
from ._probes import (
    ValueFromObservation as ValueFromObservation,
)
