"""What a user calls an environment, as one that can be trained on."""

from perdure._core import MissingExtraError, import_extra
from perdure.env import AbstractEnv, TimeLimit, make, registered_environments
from perdure.env.adapter import HostEnv, make_host


def as_env(env: object, max_steps: int | None = None, *, num_envs: int = 1) -> AbstractEnv | HostEnv:
    """An environment of ours, one of Gymnasium's (or several), or the name of either; at most `max_steps` an episode.

    By name, ours come before Gymnasium's, of which `num_envs` are made. Vector environments keep the time limits they have.

    Raises: TypeError for anything else, ValueError for a name that neither knows.
    """
    if isinstance(env, str):
        env = named(env, num_envs)
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


def named(name: str, num_envs: int) -> AbstractEnv | HostEnv:
    """Our environment of that name, or `num_envs` of Gymnasium's. Raises: ValueError for a name that neither knows."""
    if name in registered_environments():
        return make(name)
    try:
        return make_host(name, num_envs)
    except MissingExtraError as error:
        raise ValueError(f"There is no environment {name!r} here, and Gymnasium cannot be asked: {error}") from error
    except import_extra("gymnasium", "gym").error.Error as error:
        raise ValueError(
            f"There is no environment {name!r}: here there are {', '.join(registered_environments())}, and Gymnasium says: "
            f"{error}"
        ) from error
