"""From a function of JAX to a graph: its jaxpr, primitive by primitive, by a table of rules (`_lowering`, `_lower_*`)."""

from ._trace import trace as trace
