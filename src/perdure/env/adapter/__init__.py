"""Environments of other libraries here, and ours there."""

from ._draw import can_draw as can_draw, draw as draw
from ._host import HostEnv as HostEnv, HostSpec as HostSpec, HostStep as HostStep, make_host as make_host
from ._to_gymnasium import to_gymnasium_env as to_gymnasium_env
