"""Environments of other libraries here, and ours there."""

from ._brax import BraxEnv as BraxEnv, from_brax as from_brax
from ._draw import can_draw as can_draw, draw as draw
from ._given import as_tree as as_tree
from ._gymnax import GymnaxEnv as GymnaxEnv, from_gymnax as from_gymnax
from ._host import (
    HostEnv as HostEnv,
    HostSpec as HostSpec,
    HostStep as HostStep,
    as_action as as_action,
    checked as checked,
    make_host as make_host,
)
from ._host_state import NotSavable as NotSavable
from ._to_gymnasium import to_gymnasium_env as to_gymnasium_env
