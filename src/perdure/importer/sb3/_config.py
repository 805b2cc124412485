"""`config.yml` of rl-baselines3-zoo: what a zip does not say of how its model was trained."""

import re
from collections.abc import Mapping

_PLAIN_WRAPPERS = ("stable_baselines3.common.monitor.Monitor",)


def environment_notes(settings: Mapping[str, object]) -> list[str]:
    """What the environment did to observations and actions before the model saw them, and still has to."""
    notes = []
    stack = settings.get("frame_stack")
    if isinstance(stack, int) and stack > 1:
        notes.append(f"trained on stacks of {stack} frames, newest last: stack them in the environment")
    wrappers = settings.get("env_wrapper") or []
    for wrapper in wrappers if isinstance(wrappers, list) else [wrappers]:
        name = next(iter(wrapper), "") if isinstance(wrapper, dict) else str(wrapper)
        if name.endswith("TimeFeatureWrapper"):
            notes.append(
                "trained with TimeFeatureWrapper: the last number of the observation is 1 - step / time limit "
                "(or a constant at test time), which the environment has to give"
            )
        elif name not in _PLAIN_WRAPPERS:
            notes.append(f"trained with the environment wrapper {name[:120]}, which is not part of the policy")
    return notes


def wants_statistics(settings: Mapping[str, object]) -> bool:
    """True if the model was trained on normalised observations: `true`, or the text of keyword arguments for VecNormalize."""
    value = settings.get("normalize")
    return bool(value) and not (isinstance(value, str) and re.search(r"norm_obs['\"]?\s*[=:]\s*False", value))
