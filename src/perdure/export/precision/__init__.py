"""Targets of fewer digits: the program they are written from, what int8 is fitted to, and how far that is from the policy."""

from ._calibration import calibrate as calibrate
from ._precision import (
    FLOAT16 as FLOAT16,
    FLOAT32 as FLOAT32,
    INT8 as INT8,
    Distance as Distance,
    distances_of as distances_of,
    in_precision as in_precision,
)
