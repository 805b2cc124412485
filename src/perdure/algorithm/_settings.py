"""Checks before training: settings that more than one algorithm has, and a policy that fits. Errors name the mend."""

import dataclasses
import math
from typing import Any

from perdure.env import AbstractEnv
from perdure.policy import check_same_spaces

from ._math import OPTIMIZERS

AT_LEAST_ONE = {
    "num_envs",
    "num_steps",
    "num_epochs",
    "num_minibatches",
    "num_updates",
    "batch_size",
    "capacity",
    "target_interval",
    "n_step",
    "sequence_length",
    "policy_delay",
}
UNIT_INTERVAL = {
    "discount",
    "gae_lambda",
    "tau",
    "rms_decay",
    "epsilon_start",
    "epsilon_end",
    "priority_exponent",
    "importance_exponent",
}
POSITIVE = {
    "learning_rate",
    "critic_learning_rate",
    "clip",
    "value_clip",
    "target_kl",
    "max_gradient_norm",
    "anneal_timesteps",
    "exploration_timesteps",
    "importance_timesteps",
    "temperature",
}
NOT_NEGATIVE = {
    "value_weight",
    "entropy_weight",
    "learning_starts",
    "burn_in",
    "noise",
    "target_noise",
    "target_noise_clip",
}


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
    name = getattr(settings, "optimizer_name", "adam")
    if name not in OPTIMIZERS:
        known = ", ".join(OPTIMIZERS)
        raise ValueError(f"{type(settings).__name__}.optimizer_name = {name!r} is not known. Use one of {known}.")
    for field in dataclasses.fields(settings):
        value, where = getattr(settings, field.name), f"{type(settings).__name__}.{field.name}"
        for names, holds, wanted in rules:
            if field.name not in names or value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{where} = {value!r} is {type(value).__name__}, but a number is wanted. It {wanted}.")
            if not holds(value):
                raise ValueError(f"{where} = {value}, but it {wanted}. The default is {field.default}.")


def check_fits(algorithm: Any, env: AbstractEnv, policy: Any, kind: Any, kind_in_words: str) -> None:
    """Check that the policy is of the kind the algorithm trains, and made for spaces of this shape.

    Raises: TypeError for another kind, ValueError for other spaces.
    """
    if not isinstance(policy, kind):
        raise TypeError(
            f"{type(algorithm).__name__} needs {kind_in_words} (perdure.policy.{kind.__name__}), "
            f"but policy is {type(policy).__name__}."
        )
    check_same_spaces(policy, env)
