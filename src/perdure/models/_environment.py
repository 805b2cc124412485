"""What a user calls an environment, as one that can be trained on."""

from typing import Any

from perdure._core import import_extra
from perdure.env import AbstractEnv, TimeLimit, make, registered_environments
from perdure.env.adapter import HostEnv, make_host


def as_env(env: Any, max_steps: int | None = None) -> AbstractEnv | HostEnv:
    """An environment of ours, one of Gymnasium's (or several), or the name of either; at most `max_steps` an episode.

    Vector environments keep the time limits they have.

    Raises: TypeError for anything else, and what Gymnasium raises for a name that neither knows.
    """
    if isinstance(env, str):
        env = make(env) if env in registered_environments() else make_host(env)
    if isinstance(env, HostEnv):
        return env
    if isinstance(env, AbstractEnv):
        limit = getattr(env, "max_episode_steps", None)
        return env if max_steps is None or (limit is not None and limit <= max_steps) else TimeLimit(env, max_steps)
    gymnasium = import_extra("gymnasium", "gym")
    if max_steps is not None and isinstance(env, gymnasium.Env):
        limit = getattr(env.spec, "max_episode_steps", None)
        if limit is None or limit > max_steps:
            env = gymnasium.wrappers.TimeLimit(env, max_steps)
    return HostEnv(env)
