"""Statistics of observations, as files have them, as constants of a policy."""

import jax.numpy as jnp
import numpy as np

from perdure.policy import FixedNormalizer

UNBOUNDED = float(np.finfo(np.float32).max)


def fixed_normalizer(mean: np.ndarray, deviation: np.ndarray, limit: np.ndarray) -> FixedNormalizer:
    """clip((observation - mean) / deviation, -limit, limit), from flat numbers in float64.

    Whatever a library adds to the deviation, or to the variance under the root, is in `deviation` already.
    """
    rounded = mean.astype(np.float32)
    arrays = (rounded, mean - rounded, deviation, limit)
    return FixedNormalizer(*(jnp.asarray(array, jnp.float32) for array in arrays))
