"""Array aliases used in more than one room."""

from jaxtyping import Array, Bool, Float, Int, Key, PyTree

Observation = PyTree  # what a space holds: an array, a dict of them, a tuple of them
Action = PyTree
ScalarBool = Bool[Array, ""]
ScalarFloat = Float[Array, ""]
ScalarInt = Int[Array, ""]
ScalarKey = Key[Array, ""]
