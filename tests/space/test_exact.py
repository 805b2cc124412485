"""Values of users become arrays of a space only where nothing is lost."""

import jax.numpy as jnp
import numpy as np
import pytest

from perdure.space import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple, exact_value

IMAGE = Box(0, 255, (2, 2, 1), np.uint8)
VECTOR = Box(-1, 1, (2,))
BAD = {
    "a float image": (
        IMAGE,
        np.full((2, 2, 1), 0.5),
        r"observation\[0, 0, 0\] = 0\.5, but .*multiply by 255 and round",
    ),
    "a pixel of 300": (IMAGE, np.full((2, 2, 1), 300), r"= 300, but .* holds uint8 numbers, which this is not"),
    "a pixel of -1": (IMAGE, np.full((3, 2, 2, 1), -1), r"observation\[0, 0, 0, 0\] = -1"),
    "a choice of 3.7": (Discrete(5), 3.7, r"observation = 3\.7, but Discrete.* holds int32 numbers"),
    "a choice beyond": (Discrete(500), 600, "observation = 600, but it is no choice of Discrete"),
    "a choice below": (Discrete(3, start=1), 0, "observation = 0, but it is no choice"),
    "a choice beyond int32": (Discrete(5), 2**40, "observation = 1099511627776"),
    "choices": (MultiDiscrete((2, 3)), [[1, 2], [2, 0]], r"observation\[1, 0\] = 2, but it is no choice"),
    "a bit of 2": (MultiBinary((2,)), [0, 2], r"observation\[1\] = 2, but it is no choice"),
    "half a bit": (MultiBinary((2,)), [0, 0.5], r"observation\[1\] = 0\.5"),
    "nan": (VECTOR, [0.0, np.nan], r"observation\[1\] = nan, but every number must be finite"),
    "inf": (VECTOR, jnp.asarray([jnp.inf, 0.0]), r"observation\[0\] = inf, but every number must be finite"),
    "beyond float32": (VECTOR, [1e300, 0.0], r"observation\[0\] = 1e\+300, but .* holds float32 numbers"),
    "text": (VECTOR, ["a", "b"], "observation is of dtype <U1"),
    "objects": (VECTOR, [None, 1.0], "observation is of dtype object"),
    "a missing key": (Dict(a=VECTOR, b=VECTOR), {"a": [0, 0]}, "observation lacks 'b'; it must have a, b"),
    "a key too many": (Dict(a=VECTOR), {"a": [0, 0], "c": 1}, "observation has an unknown 'c'"),
    "no dict": (Dict(a=VECTOR), [0, 0], "observation is list, but a dict of a is wanted"),
    "a member": (Dict(a=Tuple((VECTOR, IMAGE))), {"a": ([0, 0], [[[[0]], [[-3]]]])}, r"observation\['a'\]\[1\].* = -3"),
    "no tuple": (Tuple((VECTOR, VECTOR)), [[0, 0]], "observation is list, but a tuple of 2 is wanted"),
}
GOOD = [
    (IMAGE, np.full((2, 2, 1), 255.0), np.uint8),
    (VECTOR, [0.1, 5], np.float32),  # rounded, and beyond the bounds
    (VECTOR, jnp.ones(2, jnp.bfloat16), np.float32),
    (VECTOR, np.ones((7, 2), np.float16), np.float32),
    (Discrete(5), np.int64(4), np.int32),
    (Discrete(5), 3.0, np.int32),
    (MultiDiscrete((2, 3)), [[1, 2]], np.int32),
    (MultiBinary((2,)), [True, False], np.int8),
]


@pytest.mark.parametrize("name", BAD)
def test_what_would_be_lost_is_refused_by_name(name):
    space, value, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        exact_value(space, value)


@pytest.mark.parametrize(("space", "value", "dtype"), GOOD)
def test_what_is_held_passes(space, value, dtype):
    array = exact_value(space, value)
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, np.asarray(value, np.float64).astype(dtype))
