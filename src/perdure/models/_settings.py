"""The settings that `train` is given, as those of an algorithm."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from perdure.algorithm import AbstractAlgorithm, AbstractOnPolicy, unknown_setting
from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv
from perdure.policy import AbstractPolicy, is_stateful

OF_TRAIN = ("num_episodes", "max_episode_steps", "total_timesteps", "callbacks", "fresh")  # not of the algorithm


def with_settings(
    algorithm: AbstractAlgorithm,
    policy: AbstractPolicy,
    env: AbstractEnv | HostEnv,
    batch_size: int | None,
    settings: Mapping[str, object],
) -> AbstractAlgorithm:
    """The algorithm with these settings, and with as many environments as there are.

    Raises: ValueError for a setting that it does not have or refuses, or for another number of host environments.
    """
    changes, name = dict[str, Any](settings), type(algorithm).__name__
    fields = [field.name for field in dataclasses.fields(algorithm)]
    if unknown := sorted(changes.keys() - set(fields)):
        raise ValueError(unknown_setting(name, unknown[0], changes[unknown[0]], [*fields, *OF_TRAIN]))
    num_envs = changes.setdefault("num_envs", env.num_envs if isinstance(env, HostEnv) else algorithm.num_envs)
    if isinstance(env, HostEnv) and num_envs != env.num_envs:
        raise ValueError(
            f"num_envs={num_envs}, but {env.name} is {env.num_envs} host environments. Leave num_envs out, or make as many "
            "environments."
        )
    if isinstance(algorithm, AbstractOnPolicy):
        minibatches = changes.get("num_minibatches", algorithm.num_minibatches)
        if "num_minibatches" in fields and is_stateful(policy):
            minibatches = changes["num_minibatches"] = math.gcd(minibatches, num_envs)
        if batch_size is not None:
            changes["num_steps"] = max(batch_size * minibatches // num_envs, 1)
    elif batch_size is not None:
        changes["batch_size"] = batch_size
    return dataclasses.replace(algorithm, **changes)
