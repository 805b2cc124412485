"""Policies that act on action values."""

from abc import abstractmethod
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from perdure.distribution import Categorical
from perdure.space import Discrete

from ._base import AbstractPolicy, ObsType, StateType


def epsilon_greedy(
    q_values: Float[Array, " actions"],
    epsilon: Float[Array, ""] | float,
    noise: Float[Array, " actions_and_one"],
    *,
    action_mask: Bool[Array, " actions"] | None = None,
) -> Int[Array, ""]:
    """The index of the largest value, or with probability `epsilon` of a uniform draw over the legal actions.

    `noise` is uniform in (0, 1), from `epsilon_greedy_noise`: the first number decides whether to explore, the others
    where to. Illegal actions are never chosen; where none is legal, the first is.
    """
    greedy = Categorical(q_values, action_mask).mode()
    explored = Categorical(jnp.zeros_like(q_values), action_mask).from_noise(noise[1:])
    return jnp.where(noise[0] < epsilon, explored, greedy)


def epsilon_greedy_noise(num_actions: int, *, key: Key[Array, ""]) -> Float[Array, " actions_and_one"]:
    """The random numbers that one epsilon-greedy action is made of."""
    return Categorical(jnp.zeros(num_actions + 1)).noise(key=key)


class AbstractQPolicy(AbstractPolicy[StateType, Int[Array, ""], ObsType, Bool[Array, " actions"]]):
    """Acts on action values, epsilon-greedily when it is given a key."""

    epsilon: eqx.AbstractVar[float]  # probability of a uniformly drawn legal action, in [0, 1]

    @abstractmethod
    def q_values(self, state: StateType, observation: ObsType) -> tuple[StateType, Float[Array, " actions"]]:
        """The next policy state, and the value of each action."""

    def __call__(
        self,
        state: StateType,
        observation: ObsType,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: Bool[Array, " actions"] | None = None,
    ) -> tuple[StateType, Int[Array, ""]]:
        if key is not None:
            return self.act_from_noise(state, observation, self.noise(key=key), action_mask=action_mask)
        policy_state, q_values = self.q_values(state, observation)
        return policy_state, self._started(Categorical(q_values, action_mask).mode())

    @property
    def noise_kind(self) -> Literal["uniform"]:
        """What `noise` draws: numbers uniform in (0, 1)."""
        return "uniform"

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, " actions_and_one"]:
        """The random numbers that one epsilon-greedy action is made of."""
        assert isinstance(self.action_space, Discrete)
        return epsilon_greedy_noise(self.action_space.n, key=key)

    def act_from_noise(
        self,
        policy_state: StateType,
        observation: ObsType,
        noise: Float[Array, " actions_and_one"],
        *,
        action_mask: Bool[Array, " actions"] | None = None,
    ) -> tuple[StateType, Int[Array, ""]]:
        """The next policy state, and the epsilon-greedy action that `noise` stands for: nothing is drawn."""
        policy_state, q_values = self.q_values(policy_state, observation)
        return policy_state, self._started(epsilon_greedy(q_values, self.epsilon, noise, action_mask=action_mask))

    def _started(self, index: Int[Array, ""]) -> Int[Array, ""]:
        assert isinstance(self.action_space, Discrete)
        return index + self.action_space.start if self.action_space.start else index


class AbstractQuantileQPolicy(AbstractQPolicy[StateType, ObsType]):
    """Acts on the means of return distributions that are known by their quantiles.

    Source: Dabney et al. 2018, arXiv:1710.10044.
    """

    @abstractmethod
    def quantiles(
        self, policy_state: StateType, observation: ObsType
    ) -> tuple[StateType, Float[Array, "actions quantiles"]]:
        """The next policy state, and for each action the quantiles (2i - 1) / 2N of its return, i = 1 ... N."""

    def q_values(self, state: StateType, observation: ObsType) -> tuple[StateType, Float[Array, " actions"]]:
        policy_state, quantiles = self.quantiles(state, observation)
        return policy_state, quantiles.mean(-1)
