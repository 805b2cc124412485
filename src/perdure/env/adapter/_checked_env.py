"""A look at what one environment of Gymnasium gives, before a vector environment writes it into arrays of the space's dtype.

Imports Gymnasium, so it is imported only where that is there.
"""

from typing import Any, Final, final

import gymnasium
import numpy as np

from perdure.space import from_gymnasium

from ._given import as_given


@final
class CheckedEnv(gymnasium.Wrapper):
    """An environment whose observations lose nothing in the dtype of its space, and whose method `action_masks()`, by which
    sb3-contrib's environments tell their legal actions, is told in `info["action_mask"]`.

    Raises: in `reset` and `step` as `as_given` does.
    """

    is_checked: Final = True

    def __init__(self, env: Any):
        super().__init__(env)
        self._observation_space = env.observation_space
        self._space, self._dtype = from_gymnasium(env.observation_space), env.observation_space.dtype
        self._tells_masks = env.has_wrapper_attr("action_masks")
        self._num_choices = from_gymnasium(env.action_space).mask_size

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._checked(observation), self._with_mask(info, False)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._checked(observation), reward, terminated, truncated, self._with_mask(info, terminated)

    def _checked(self, observation: Any) -> Any:
        if self._dtype is not None and getattr(observation, "dtype", None) == self._dtype:  # as it nearly always is
            return observation
        return as_given(self._space, self._observation_space, observation)

    def _with_mask(self, info: dict[str, Any], terminated: bool) -> dict[str, Any]:
        if not self._tells_masks or "action_mask" in info:
            return info
        if terminated:  # nobody acts any more, so the environment need not know what would be legal
            return {**info, "action_mask": np.ones(self._num_choices, np.int8)}
        masks = self.env.get_wrapper_attr("action_masks")()
        return {**info, "action_mask": np.hstack([np.ravel(part) for part in masks]).astype(np.int8)}
