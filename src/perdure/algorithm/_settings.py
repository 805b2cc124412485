"""Checks of settings that more than one algorithm has; each error names the field, the value and the mend."""

import dataclasses
import math
from typing import Any

AT_LEAST_ONE = {"num_envs", "num_steps", "num_epochs", "num_minibatches", "batch_size", "capacity", "num_updates"}
UNIT_INTERVAL = {"discount", "gae_lambda", "tau", "epsilon_start", "epsilon_end"}
POSITIVE = {"learning_rate", "clip", "value_clip", "max_gradient_norm", "anneal_timesteps", "exploration_timesteps"}
NOT_NEGATIVE = {"value_weight", "entropy_weight", "learning_starts"}


def check_settings(settings: Any) -> None:
    """Check every field of `settings` whose name means the same in all algorithms.

    Raises: TypeError for a value that is no number, ValueError for one out of range.
    """
    rules = (
        (AT_LEAST_ONE, lambda x: x >= 1 and x == int(x), "must be a whole number of at least 1"),
        (UNIT_INTERVAL, lambda x: 0 <= x <= 1, "must lie in [0, 1]"),
        (POSITIVE, lambda x: 0 < x < math.inf, "must be positive and finite"),
        (NOT_NEGATIVE, lambda x: 0 <= x < math.inf, "must be zero or more, and finite"),
    )
    for field in dataclasses.fields(settings):
        value, where = getattr(settings, field.name), f"{type(settings).__name__}.{field.name}"
        for names, holds, wanted in rules:
            if field.name not in names or value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{where} = {value!r} is {type(value).__name__}, but a number is wanted. It {wanted}.")
            if not holds(value):
                raise ValueError(f"{where} = {value}, but it {wanted}. The default is {field.default}.")
