"""Spaces: what observations and actions may be."""

from ._base import AbstractSpace as AbstractSpace
from ._box import Box as Box
from ._composite import Dict as Dict, Tuple as Tuple
from ._discrete import Discrete as Discrete, MultiBinary as MultiBinary, MultiDiscrete as MultiDiscrete
from ._exact import exact_value as exact_value
from ._gymnasium import from_gymnasium as from_gymnasium, to_gymnasium as to_gymnasium
from ._leaves import assemble as assemble, flatten_value as flatten_value, leaves_of as leaves_of
