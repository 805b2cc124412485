"""The spread of gSDE, noise that depends on the features.

Source: stable_baselines3/common/distributions.py, `StateDependentNoiseDistribution.get_std`.
"""

import math

import numpy as np

from .._tensors import Tensors


def gsde_log_std(tensors: Tensors, name: str, num_actions: int, expln: bool) -> np.ndarray:
    """The logarithm of gSDE's deviations for each feature and action, where the file may have one column for all.

    With `use_expln` SB3's deviation is exp(x) below zero and log(1 + x) + 1 above.
    """
    log_std = tensors.take(name, 2)
    if log_std.shape[1] != 1:
        log_std = tensors.shaped(name, len(log_std), num_actions)
    if expln:
        above = np.log1p(np.maximum(log_std, 0).astype(np.float64)) + 1
        log_std = np.where(log_std > 0, np.log(above), log_std).astype(np.float32)
    return np.broadcast_to(log_std, (len(log_std), num_actions)).copy()


def default_spread(num_features: int, num_actions: int) -> np.ndarray:
    """Where a file's own cannot be held: deviations of one for features of unit size."""
    return np.full((num_features, num_actions), -0.5 * math.log(num_features), np.float32)
