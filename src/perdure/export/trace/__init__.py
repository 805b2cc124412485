"""From a function of JAX to a graph: its jaxpr, primitive by primitive, by a table of rules (`_lower_*`).

`@lowers("name")` adds one from anywhere: a primitive written with operators that there are needs nothing else.
"""

from ._lowering import Builder as Builder, lowers as lowers
from ._trace import trace as trace
