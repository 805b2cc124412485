"""Wrappers that change what is seen."""

from collections.abc import Callable
from typing import final

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Key

from perdure._core import Action, Observation, register
from perdure.space import AbstractSpace, Box, Dict, Tuple

from .._base import State, TimeStep
from ._base import AbstractWrapper


class AbstractObservationWrapper(AbstractWrapper):
    """Passes every observation through `transform`."""

    def transform(self, observation: Observation) -> Observation:
        """The observation to show for one of `env`; of `observation_space`."""
        raise NotImplementedError

    def reset(self, *, key: Key[Array, ""]) -> tuple[State, Observation]:
        state, observation = self.env.reset(key=key)
        return state, self.transform(observation)

    def step(self, state: State, action: Action, *, key: Key[Array, ""]) -> TimeStep:
        step = self.env.step(state, action, key=key)
        return step._replace(observation=self.transform(step.observation))

    def restart(self, state: State, *, key: Key[Array, ""]) -> tuple[State, Observation]:
        state, observation = self.env.restart(state, key=key)
        return state, self.transform(observation)


@register(name="env.TransformObservation")
@final
class TransformObservation(AbstractObservationWrapper):
    """Shows `function(observation)`, a pure function of one observation, which lies in `space`."""

    function: Callable[[Observation], Observation]
    space: AbstractSpace = eqx.field(static=True)

    @property
    def observation_space(self) -> AbstractSpace:
        return self.space

    def transform(self, observation: Observation) -> Observation:
        return self.function(observation)


@register(name="env.FlattenObservation")
@final
class FlattenObservation(AbstractObservationWrapper):
    """Shows one float32 vector, see `AbstractSpace.flatten`: numbers as they are, choices one-hot."""

    @property
    def observation_space(self) -> Box:
        return Box(*flat_bounds(self.env.observation_space))

    def transform(self, observation: Observation) -> Float[Array, " size"]:
        return self.env.observation_space.flatten(observation)


def flat_bounds(space: AbstractSpace) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest vector that `space.flatten` may give."""
    match space:
        case Box():
            return space.low.astype(np.float32).ravel(), space.high.astype(np.float32).ravel()
        case Dict() | Tuple():
            members = [member for _, member in space.items] if isinstance(space, Dict) else space.spaces
            lows, highs = zip(*map(flat_bounds, members), strict=True)
            return np.concatenate(lows), np.concatenate(highs)
    return np.zeros(space.flat_size, np.float32), np.ones(space.flat_size, np.float32)
