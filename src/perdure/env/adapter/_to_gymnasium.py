"""Our environments for code that wants Gymnasium's (extra `gym`)."""

from typing import Any

from perdure._core import import_extra

from .._base import AbstractEnv


def to_gymnasium_env(env: object, *, render_mode: str | None = None) -> Any:
    """`env` as a `gymnasium.Env`, compiled for the CPU's own pace: one call a step.

    Time limits are those of `env`, such as `perdure.env.make` gives it. Legal actions, where the task knows them, are in
    `info["action_mask"]`. `render_mode="rgb_array"` draws the classic control tasks.

    Raises: MissingExtraError without gymnasium, TypeError for what is no environment of ours, ValueError for another mode
    or for a task that cannot be drawn.
    """
    import_extra("gymnasium", "gym")
    if not isinstance(env, AbstractEnv):
        raise TypeError(
            f"env is {type(env).__name__}, but to_gymnasium_env takes an environment of perdure.env. Use make()."
        )
    from ._gymnasium_env import GymnasiumEnv

    return GymnasiumEnv(env, render_mode)
