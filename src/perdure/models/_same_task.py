"""Whether two environments are the same task: by what they are made of, not by which object they are."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx

from perdure._core import describe, dumps_json, leaves_with_paths
from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv, NotSavable


def standing(env: HostEnv) -> dict[str, Any]:
    """Where a host environment stands, or why that cannot be told, as checkpoints have it."""
    try:
        return env.state()
    except NotSavable as error:
        return {"unknown": str(error), "making": env.making}


def is_same_task(env: AbstractEnv | HostEnv, trained_on: AbstractEnv, host: Mapping[str, object] | None) -> bool:
    """True if `env` is made as the environment of a training state, in whatever number.

    `host` is where a host environment stood, as `HostEnv.state` and checkpoints have it. Those before version 0.3 do not
    tell how it was made: then its name, its spaces and its masks decide.
    """
    if not isinstance(env, HostEnv):
        return same_native(env, trained_on)
    making = (host or {}).get("making")
    return bool(eqx.tree_equal(env.spec, trained_on)) and (making is None or making == env.making)


def same_native(one: AbstractEnv, other: AbstractEnv) -> bool:
    """The same classes with the same fields, at every depth; functions are the same by their registered names."""
    if eqx.tree_equal(one, other):
        return True
    try:
        descriptions = [dumps_json(describe(env, root="env", registered_only=True)) for env in (one, other)]
    except TypeError:  # a class of the user's that is not registered: `tree_equal` has said all there is to say
        return False
    return descriptions[0] == descriptions[1] and all(
        eqx.tree_equal(a, b) for (_, a), (_, b) in zip(leaves_with_paths(one), leaves_with_paths(other), strict=True)
    )
