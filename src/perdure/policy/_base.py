"""What a policy is: observations and its own state in, an action and its next state out."""

from abc import abstractmethod
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key

from perdure._core import Serializable
from perdure.distribution import AbstractDistribution, Categorical
from perdure.space import AbstractSpace, Discrete

StateType = TypeVar("StateType")
ActType = TypeVar("ActType")
ObsType = TypeVar("ObsType")
MaskType = TypeVar("MaskType")


class AbstractPolicyState(eqx.Module):
    """Base class for the internal state of a policy: floating-point arrays only, so that it can be exported."""


class AbstractPolicy(Serializable, Generic[StateType, ActType, ObsType, MaskType]):
    """Maps an observation and an internal state to an action and the next internal state.

    A policy is *complete*: it takes the observation as the environment gives it, and its action is in the environment's
    own units and bounds. It works on one observation; `jax.vmap` makes batches.
    """

    name: eqx.AbstractClassVar[str]
    action_space: eqx.AbstractVar[AbstractSpace]
    observation_space: eqx.AbstractVar[AbstractSpace]

    @abstractmethod
    def __call__(
        self,
        state: StateType,
        observation: ObsType,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: MaskType | None = None,
    ) -> tuple[StateType, ActType]:
        """The next internal state, and the action to execute.

        Without `key` the policy is deterministic. `action_mask` is flat, False where a choice is barred
        (see `AbstractSpace.mask_size`); where it bars everything, the first action is taken.
        """

    @abstractmethod
    def reset(self, *, key: Key[Array, ""]) -> StateType:
        """The internal state at the start of an episode."""


class AbstractStatelessPolicy(AbstractPolicy[None, ActType, ObsType, MaskType]):
    """A policy that remembers nothing: its state is None."""

    def reset(self, *, key: Key[Array, ""]) -> None:
        return None


class AbstractStatefulPolicy(AbstractPolicy[StateType, ActType, ObsType, MaskType]):
    """A policy with a memory: its state is an `AbstractPolicyState`."""


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
        """The next internal state, and the value of each action."""

    def __call__(
        self,
        state: StateType,
        observation: ObsType,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: Bool[Array, " actions"] | None = None,
    ) -> tuple[StateType, Int[Array, ""]]:
        assert isinstance(self.action_space, Discrete)
        state, q_values = self.q_values(state, observation)
        if key is None:
            index = Categorical(q_values, action_mask).mode()
        else:
            noise = epsilon_greedy_noise(self.action_space.n, key=key)
            index = epsilon_greedy(q_values, self.epsilon, noise, action_mask=action_mask)
        return state, index + self.action_space.start if self.action_space.start else index


class AbstractActorCriticPolicy(AbstractPolicy[StateType, ActType, ObsType, MaskType]):
    """Acts by sampling a distribution, and values observations. `evaluate` and `environment_action` are all it needs.

    A *raw* action is what the distribution is over: an index, or a vector before clipping or squashing. Training stores
    raw actions, because log-probabilities belong to them; `__call__` returns what the environment executes.
    """

    @abstractmethod
    def evaluate(
        self, state: StateType, observation: ObsType, action_mask: MaskType | None = None
    ) -> tuple[StateType, AbstractDistribution, Float[Array, ""]]:
        """The next internal state, the distribution over raw actions, and the value of the observation."""

    @abstractmethod
    def environment_action(self, raw_action: Any) -> ActType:
        """The action that the environment executes for a raw one."""

    def __call__(
        self,
        state: StateType,
        observation: ObsType,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: MaskType | None = None,
    ) -> tuple[StateType, ActType]:
        state, distribution, _ = self.evaluate(state, observation, action_mask)
        raw_action = distribution.mode() if key is None else distribution.sample(key=key)
        return state, self.environment_action(raw_action)

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "..."]:
        """The random numbers that one sampled action is made of, see `AbstractDistribution.noise`."""

        def distribution() -> AbstractDistribution:
            return self.evaluate(self.reset(key=key), self.observation_space.canonical())[1]

        return jax.eval_shape(distribution).noise(key=key)  # only shapes matter

    def action_and_value(
        self, state: StateType, observation: ObsType, *, key: Key[Array, ""], action_mask: MaskType | None = None
    ) -> tuple[StateType, Any, Float[Array, ""], Float[Array, ""]]:
        """The next internal state, a sampled raw action, the value of the observation, the action's log-probability."""
        state, distribution, value = self.evaluate(state, observation, action_mask)
        raw_action = distribution.sample(key=key)
        return state, raw_action, value, distribution.log_prob(raw_action)

    def evaluate_action(
        self, state: StateType, observation: ObsType, raw_action: Any, *, action_mask: MaskType | None = None
    ) -> tuple[StateType, Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        """The next internal state, the value, the raw action's log-probability, the entropy of the distribution."""
        state, distribution, value = self.evaluate(state, observation, action_mask)
        return state, value, distribution.log_prob(raw_action), distribution.entropy()

    def value(self, state: StateType, observation: ObsType) -> tuple[StateType, Float[Array, ""]]:
        """The next internal state, and the value of the observation."""
        state, _, value = self.evaluate(state, observation, None)
        return state, value


def is_stateful(policy: AbstractPolicy) -> bool:
    """True if the policy carries a memory from one observation to the next."""
    return bool(jax.tree.leaves(jax.eval_shape(lambda: policy.reset(key=jr.key(0)))))
