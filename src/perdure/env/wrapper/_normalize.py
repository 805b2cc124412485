"""Wrappers that bring observations and rewards to a common scale with running statistics.

For study, and for comparison with other libraries. The statistics live in the state of the environment, one set for
each copy of it, and are lost with it. To train a policy that will be used elsewhere let the *policy* normalise its
observations: its statistics are shared by all copies, and saved and exported with it.
"""

from typing import NamedTuple, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from perdure._core import Action, Observation, Positive, UnitInterval, check_settings, register
from perdure.space import Box

from .._base import State, TimeStep
from ._base import AbstractWrapper


@register(name="env.RunningStatistics")
class RunningStatistics(NamedTuple):
    """Mean and variance of all values so far; a little weight is given to a mean of 0 and a variance of 1."""

    mean: Float[Array, "..."]
    variance: Float[Array, "..."]
    weight: Float[Array, ""]  # number of values, and the little at the start

    @classmethod
    def start(cls, shape: tuple[int, ...]) -> "RunningStatistics":
        return cls(jnp.zeros(shape, jnp.float32), jnp.ones(shape, jnp.float32), jnp.full((), 1e-4, jnp.float32))

    def include(self, value: Float[Array, "..."]) -> "RunningStatistics":
        """With one more value. Source: Chan, Golub and LeVeque 1979, "Updating Formulae and a Pairwise Algorithm"."""
        weight = self.weight + 1
        delta = value - self.mean
        mean = self.mean + delta / weight
        variance = (self.variance * self.weight + delta**2 * self.weight / weight) / weight
        return RunningStatistics(mean, variance, weight)


@register(name="env.NormalizedState")
class NormalizedState(NamedTuple):
    env_state: State
    statistics: RunningStatistics


class AbstractNormalizer(AbstractWrapper):
    """A wrapper whose state is `NormalizedState` or longer: its statistics outlive the episodes."""

    @property
    def carries_over(self) -> bool:
        return True

    def action_mask(self, state: State) -> Bool[Array, " mask_size"] | None:
        return self.env.action_mask(state.env_state)


@register(name="env.NormalizeObservation")
@final
class NormalizeObservation(AbstractNormalizer):
    """Shows observations with a running mean of 0 and a running variance of 1, entry by entry.

    As Gymnasium's wrapper of this name: `(x - mean) / sqrt(variance + epsilon)`, `x` included in the statistics. For
    study: see the head of this file.

    Raises: TypeError unless the observations are a Box.
    """

    epsilon: Positive = 1e-8

    def __check_init__(self) -> None:
        check_settings(self)
        if not isinstance(self.env.observation_space, Box):
            raise TypeError(
                f"NormalizeObservation needs a Box, but the observations of {self.env.name} are "
                f"{self.env.observation_space}. Wrap it in FlattenObservation first."
            )

    @property
    def observation_space(self) -> Box:
        return Box(-np.inf, np.inf, self.env.observation_space.canonical().shape)

    def normalize(
        self, statistics: RunningStatistics, observation: Array
    ) -> tuple[RunningStatistics, Float[Array, "..."]]:
        observation = observation.astype(jnp.float32)
        statistics = statistics.include(observation)
        deviation = jnp.sqrt(statistics.variance + self.epsilon)
        return statistics, (observation - statistics.mean) / deviation

    def reset(self, *, key: Key[Array, ""]) -> tuple[NormalizedState, Float[Array, "..."]]:
        env_state, observation = self.env.reset(key=key)
        statistics, observation = self.normalize(RunningStatistics.start(observation.shape), observation)
        return NormalizedState(env_state, statistics), observation

    def step(self, state: NormalizedState, action: Action, *, key: Key[Array, ""]) -> TimeStep:
        step = self.env.step(state.env_state, action, key=key)
        statistics, observation = self.normalize(state.statistics, step.observation)
        return step._replace(state=NormalizedState(step.state, statistics), observation=observation)

    def restart(self, state: NormalizedState, *, key: Key[Array, ""]) -> tuple[NormalizedState, Float[Array, "..."]]:
        env_state, observation = self.env.restart(state.env_state, key=key)
        statistics, observation = self.normalize(state.statistics, observation)
        return NormalizedState(env_state, statistics), observation


@register(name="env.NormalizedRewardState")
class NormalizedRewardState(NamedTuple):
    env_state: State
    statistics: RunningStatistics
    discounted_sum: Float[Array, ""]  # of the rewards until now


@register(name="env.NormalizeReward")
@final
class NormalizeReward(AbstractNormalizer):
    """Divides rewards by the running deviation of their discounted sum; their mean is left alone.

    As Gymnasium's wrapper of this name: `s <- s * discount * (1 - terminated) + r`, then `r / sqrt(var(s) + epsilon)`.
    The sum runs on through a truncation. For study: see the head of this file.
    """

    discount: UnitInterval = 0.99
    epsilon: Positive = 1e-8

    def __check_init__(self) -> None:
        check_settings(self)

    def reset(self, *, key: Key[Array, ""]) -> tuple[NormalizedRewardState, Observation]:
        env_state, observation = self.env.reset(key=key)
        return NormalizedRewardState(env_state, RunningStatistics.start(()), jnp.zeros((), jnp.float32)), observation

    def step(self, state: NormalizedRewardState, action: Action, *, key: Key[Array, ""]) -> TimeStep:
        step = self.env.step(state.env_state, action, key=key)
        discounted_sum = state.discounted_sum * self.discount * (1 - step.terminated) + step.reward
        statistics = state.statistics.include(discounted_sum)
        reward = step.reward / jnp.sqrt(statistics.variance + self.epsilon)
        return step._replace(state=NormalizedRewardState(step.state, statistics, discounted_sum), reward=reward)

    def restart(
        self, state: NormalizedRewardState, *, key: Key[Array, ""]
    ) -> tuple[NormalizedRewardState, Observation]:
        env_state, observation = self.env.restart(state.env_state, key=key)
        return state._replace(env_state=env_state), observation
