"""Policies that act by sampling: with a critic in the policy (actor-critic), and without (soft actor-critic)."""

from abc import abstractmethod
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from perdure._core import Action
from perdure.distribution import AbstractDistribution
from perdure.space import Box

from ._base import AbstractPolicy, ActType, MaskType, ObsType, StateType


class AbstractStochasticPolicy(AbstractPolicy[StateType, ActType, ObsType, MaskType]):
    """Acts by sampling a distribution over *raw* actions.

    A raw action is what the distribution is over: an index, or a vector before clipping or squashing. Training stores
    raw actions, because log-probabilities belong to them; `__call__` returns what the environment executes.
    """

    @abstractmethod
    def distribution(
        self, policy_state: StateType, observation: ObsType, action_mask: MaskType | None = None
    ) -> tuple[StateType, AbstractDistribution]:
        """The next policy state, and the distribution over raw actions."""

    @abstractmethod
    def environment_action(self, raw_action: Action) -> ActType:
        """The action that the environment executes for a raw one."""

    def __call__(
        self,
        state: StateType,
        observation: ObsType,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: MaskType | None = None,
    ) -> tuple[StateType, ActType]:
        policy_state, distribution = self.distribution(state, observation, action_mask)
        raw_action = distribution.mode() if key is None else distribution.sample(key=key)
        return policy_state, self.environment_action(raw_action)

    def act_from_noise(
        self,
        policy_state: StateType,
        observation: ObsType,
        noise: Float[Array, "..."],
        *,
        action_mask: MaskType | None = None,
    ) -> tuple[StateType, ActType]:
        """The next policy state, and the action that `noise` (see `noise`) stands for: nothing is drawn."""
        policy_state, distribution = self.distribution(policy_state, observation, action_mask)
        return policy_state, self.environment_action(distribution.from_noise(noise))

    def noise(
        self, shape: tuple[int, ...] = (), *, is_marginal: bool = False, key: Key[Array, ""]
    ) -> Float[Array, "..."]:
        """The random numbers that a sampled action is made of, for `shape` of them; see `AbstractDistribution.noise`.

        With `is_marginal` for the marginals of the distributions.
        """
        return self._shape_of_distribution(shape, is_marginal=is_marginal).noise(key=key)

    @property
    def noise_kind(self) -> Literal["uniform", "normal"]:
        """What `noise` draws: numbers uniform in (0, 1), or standard normal ones."""
        return self._shape_of_distribution(()).noise_kind

    def _shape_of_distribution(self, shape: tuple[int, ...], *, is_marginal: bool = False) -> AbstractDistribution:
        def distributions() -> AbstractDistribution:
            one = self.distribution(self.reset(key=jax.random.key(0)), self.observation_space.canonical())[1]
            one = one.marginal() if is_marginal else one
            return jax.tree.map(lambda x: jnp.broadcast_to(x, (*shape, *x.shape)), one)

        return jax.eval_shape(distributions)


def held_noise(
    policy: AbstractStochasticPolicy, num_steps: int, *, key: Key[Array, ""]
) -> Float[Array, "num_steps ..."]:
    """`policy.noise` for consecutive steps: a new draw for each, or with gSDE one draw for `gsde_interval` steps."""
    interval = getattr(policy, "gsde_interval", None) or 1
    return jnp.repeat(policy.noise((-(-num_steps // interval),), key=key), interval, axis=0)[:num_steps]


class AbstractActorCriticPolicy(AbstractStochasticPolicy[StateType, ActType, ObsType, MaskType]):
    """Samples actions, and values observations. `evaluate` and `environment_action` are all it needs."""

    @abstractmethod
    def evaluate(
        self, policy_state: StateType, observation: ObsType, action_mask: MaskType | None = None
    ) -> tuple[StateType, AbstractDistribution, Float[Array, ""]]:
        """The next policy state, the distribution over raw actions, and the value of the observation."""

    def distribution(
        self, policy_state: StateType, observation: ObsType, action_mask: MaskType | None = None
    ) -> tuple[StateType, AbstractDistribution]:
        return self.evaluate(policy_state, observation, action_mask)[:2]

    def action_and_value(
        self, policy_state: StateType, observation: ObsType, *, key: Key[Array, ""], action_mask: MaskType | None = None
    ) -> tuple[StateType, Action, Float[Array, ""], Float[Array, ""]]:
        """The next policy state, a sampled raw action, the value of the observation, the action's log-probability."""
        policy_state, distribution, value = self.evaluate(policy_state, observation, action_mask)
        raw_action = distribution.sample(key=key)
        return policy_state, raw_action, value, distribution.log_prob(raw_action)

    def evaluate_action(
        self, policy_state: StateType, observation: ObsType, raw_action: Action, *, action_mask: MaskType | None = None
    ) -> tuple[StateType, Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        """The next policy state, the value, the raw action's log-probability, the entropy of the distribution."""
        policy_state, distribution, value = self.evaluate(policy_state, observation, action_mask)
        return policy_state, value, distribution.log_prob(raw_action), distribution.entropy()

    def value(self, policy_state: StateType, observation: ObsType) -> tuple[StateType, Float[Array, ""]]:
        """The next policy state, and the value of the observation."""
        policy_state, _, value = self.evaluate(policy_state, observation, None)
        return policy_state, value


class AbstractSACPolicy(AbstractStochasticPolicy[StateType, ActType, ObsType, MaskType]):
    """The actor of soft actor-critic; its critics are trained beside it and are no part of it, see `QFunction`.

    For a Box the raw action is u, the normalised one tanh(u); for Discrete all are indices, the executed one plus start.
    """

    @abstractmethod
    def evaluate(
        self, policy_state: StateType, observation: ObsType, action_mask: MaskType | None = None
    ) -> tuple[StateType, AbstractDistribution]:
        """The next policy state, and the distribution over raw actions."""

    def distribution(
        self, policy_state: StateType, observation: ObsType, action_mask: MaskType | None = None
    ) -> tuple[StateType, AbstractDistribution]:
        return self.evaluate(policy_state, observation, action_mask)

    def normalized_action(self, raw_action: Action) -> Array:
        """What critics take: tanh(u) in [-1, 1] for a Box, the index for Discrete."""
        return jnp.tanh(raw_action) if isinstance(self.action_space, Box) else raw_action
