"""The off-policy loop: explore, store, sample, learn. Targets and losses live elsewhere."""

import dataclasses
from abc import abstractmethod
from typing import Generic, TypeVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import random as jr
from jaxtyping import Array, Float, Int, Key, PyTree

from perdure._core import NonNegativeInt, Positive, PositiveInt, UnitInterval, added, register
from perdure.env import AbstractEnv
from perdure.policy import AbstractPolicy, is_stateful, update_normalizer

from ._base import AbstractAlgorithm
from ._buffer import Buffer
from ._evaluate import flatten
from ._fits import check_fits
from ._math import OptimizerName, at_runtime, new_optimizer
from ._priorities import Priorities
from ._replay import ReplayBatch, batch_of_sequences, batch_of_steps
from ._reward_scale import RewardScale
from ._rollout import Behavior, Rollout, Transition, collect, start, uniform_behavior
from ._schedule import falling, fraction_of

UpdateCarry = tuple[PyTree, Priorities | None, dict[str, Array]]


class AbstractLearner(eqx.Module):
    """The networks, targets and optimiser states of one algorithm. Targets are the parameters alone of a network."""

    policy: eqx.AbstractVar[AbstractPolicy]
    critics: eqx.AbstractVar[PyTree]  # a tuple; None without


Learner = TypeVar("Learner", bound=AbstractLearner)
Policy = TypeVar("Policy", bound=AbstractPolicy)  # of the algorithm's role


@register(name="algorithm.OffPolicyState", upgrades=[added(steps_ahead=jnp.zeros((), jnp.int32))])
class OffPolicyState(eqx.Module, Generic[Learner]):
    """Everything training needs."""

    env: AbstractEnv
    learner: Learner
    buffer: Buffer
    priorities: Priorities | None  # None for uniform replay
    rollout: Rollout
    reward_scale: RewardScale | None  # None unless rewards are normalised
    key: Key[Array, ""]
    iteration: Int[Array, ""]
    steps_ahead: Int[Array, ""]  # environment steps made beyond those iterations, under settings of before

    @property
    def policy(self) -> AbstractPolicy:
        return self.learner.policy


class AbstractOffPolicy(AbstractAlgorithm[OffPolicyState[Learner]], Generic[Learner, Policy]):
    """Subclasses are settings, an exploring action and an update of the learner from one batch.

    The settings here mean the same in all of them. A policy with a memory learns from sequences of `burn_in +
    sequence_length` steps instead of single ones, see `ReplayBatch`; nothing else depends on the kind of policy.
    """

    learning_rate: Positive = 3e-4
    critic_learning_rate: Positive | None = None  # of critics beside the policy; None: as `learning_rate`
    anneal_timesteps: PositiveInt | None = None  # environment steps over which learning rates fall linearly to zero
    optimizer_name: OptimizerName = "adam"  # of all networks: adabelief, adam, adamw, lion, nadam, rmsprop or sgd
    num_envs: PositiveInt = 1
    num_steps: PositiveInt = 1  # of each environment between two rounds of updates
    num_updates: PositiveInt = 1  # in one round
    batch_size: PositiveInt = 256  # steps in one update; of a policy with a memory, in whole sequences
    capacity: PositiveInt = 1_000_000  # transitions kept; rounded up to whole rollouts
    learning_starts: NonNegativeInt = 1_000  # transitions of uniformly drawn actions before the first update
    discount: UnitInterval = 0.99  # per environment step
    tau: UnitInterval = 0.005  # how far the targets move towards the networks: 1 copies
    n_step: PositiveInt = 1  # rewards in a target, before the value of what comes after them
    max_gradient_norm: Positive | None = None  # of all gradients of one network together
    normalize_reward: bool = False  # by the running deviation of the discounted return
    priority_exponent: UnitInterval = (
        0.0  # alpha of prioritised replay: how much more what surprised is replayed; 0: not
    )
    importance_exponent: UnitInterval = 0.4  # beta at the start: how much of that is made good in the loss
    importance_timesteps: PositiveInt = 100_000  # environment steps until beta is 1
    sequence_length: PositiveInt = 16  # steps that a memory learns from at once
    burn_in: NonNegativeInt = 8  # steps before those, that only bring the memory up to date

    def __check_init__(self) -> None:
        if self.learning_starts > self.capacity:
            raise ValueError(
                f"{type(self).__name__}.learning_starts={self.learning_starts} is more than capacity={self.capacity}, so the "
                "first transitions would be lost before learning. Lower learning_starts or raise capacity."
            )

    @abstractmethod
    def init_learner(self, policy: Policy, *, key: Key[Array, ""]) -> Learner:
        """Networks, targets and optimiser states around a policy."""

    @abstractmethod
    def explore(self, learner: Learner, iteration: Int[Array, ""]) -> Behavior:
        """How to act while learning."""

    @abstractmethod
    def update(
        self, learner: Learner, batch: ReplayBatch, iteration: Int[Array, ""], *, key: Key[Array, ""]
    ) -> tuple[Learner, dict[str, Array], Float[Array, " batch"]]:
        """The learner after one update, scalars to log, and how wrong the values were: what priorities are made of."""

    def optimizer(self) -> optax.GradientTransformation:
        """The optimiser of the policy, and of a temperature."""
        return self.new_optimizer(self.learning_rate)

    def critic_optimizer(self) -> optax.GradientTransformation:
        """The optimiser of critics beside the policy."""
        rate = self.learning_rate if self.critic_learning_rate is None else self.critic_learning_rate
        return self.new_optimizer(rate)

    def new_optimizer(self, learning_rate: float, *, delay: int = 1) -> optax.GradientTransformation:
        """As the settings say; it takes one gradient step in `delay` updates."""
        if self.anneal_timesteps is None:
            return new_optimizer(self.optimizer_name, learning_rate, self.max_gradient_norm)
        rounds = (self.anneal_timesteps - self.steps_before_learning) // self.steps_per_iteration
        schedule = falling(learning_rate, rounds * self.num_updates // delay)
        return new_optimizer(self.optimizer_name, schedule, self.max_gradient_norm)

    def fraction_of(self, timesteps: int, iteration: Int[Array, ""]) -> Float[Array, ""]:
        """The environment steps taken, the warm-up included, as a fraction of `timesteps`."""
        before, each = self.steps_before_learning, self.steps_per_iteration
        return fraction_of(timesteps, iteration, steps_before=before, steps_per_iteration=each)

    def window_length(self, policy: AbstractPolicy) -> int:
        """Consecutive steps that one draw from the buffer takes."""
        return self.burn_in + self.sequence_length if is_stateful(policy) else self.n_step

    def num_windows(self, policy: AbstractPolicy) -> int:
        """Draws from the buffer that make one batch."""
        return max(1, self.batch_size // self.sequence_length) if is_stateful(policy) else self.batch_size

    @property
    def warmup_rollouts(self) -> int:
        return max(-(-self.learning_starts // self.steps_per_iteration), -(-self.n_step // self.num_steps))

    def begin(self, env: AbstractEnv, policy: AbstractPolicy, *, key: Key[Array, ""]) -> OffPolicyState[Learner]:
        check_fits(self, env, policy)
        if is_stateful(policy) and (self.n_step > 1 or self.priority_exponent > 0):
            raise ValueError(
                f"{type(self).__name__} has n_step={self.n_step} and priority_exponent={self.priority_exponent}, but "
                f"{type(policy).__name__} has a memory and learns from plain sequences. Set n_step=1, priority_exponent=0.0."
            )
        least = self.window_length(policy) * self.num_envs
        if self.steps_before_learning < least:
            raise ValueError(
                f"{type(self).__name__}.learning_starts={self.learning_starts}, but the first sequences of burn_in + "
                f"sequence_length = {self.window_length(policy)} steps are there after {least}. Set learning_starts={least}."
            )
        key, key_start, key_learner = jr.split(key, 3)
        learner = self.init_learner(cast(Policy, policy), key=key_learner)
        rollout = start(env, policy, self.num_envs, key=key_start)

        def block() -> Transition:
            return collect(env, policy, uniform_behavior(env.action_space), rollout, self.num_steps, key=key)[1]

        buffer = Buffer.empty(jax.eval_shape(block), max(self.capacity, self.window_length(policy) * self.num_envs))
        priorities = Priorities.empty(buffer) if self.priority_exponent > 0 else None
        reward_scale = RewardScale(self.num_envs) if self.normalize_reward else None
        none = jnp.zeros((), jnp.int32)
        return OffPolicyState(env, learner, buffer, priorities, rollout, reward_scale, key, none, none)

    def behavior(self, state: OffPolicyState[Learner]) -> Behavior:
        return self.explore(state.learner, state.iteration)

    def store(self, state: OffPolicyState[Learner], transitions: Transition) -> OffPolicyState[Learner]:
        """With transitions in the buffer, and in all running statistics."""
        buffer, priorities, reward_scale = state.buffer.extend(transitions), state.priorities, state.reward_scale
        if priorities is not None:
            priorities = priorities.extend(buffer, length=self.window_length(state.policy))
        if reward_scale is not None:
            reward_scale = reward_scale.update(transitions.reward, transitions.terminated, discount=self.discount)
        observations, learner = flatten(transitions.observation), state.learner
        policy, critics = (update_normalizer(module, observations) for module in (learner.policy, learner.critics))
        learner = dataclasses.replace(learner, policy=policy, critics=critics)
        return dataclasses.replace(
            state, learner=learner, buffer=buffer, priorities=priorities, reward_scale=reward_scale
        )

    def draw(
        self, state: OffPolicyState[Learner], priorities: Priorities | None, *, key: Key[Array, ""]
    ) -> tuple[Int[Array, " items"], ReplayBatch]:
        """What one update learns from, and where in the buffer it lies."""
        length, size, buffer = self.window_length(state.policy), self.num_windows(state.policy), state.buffer
        if priorities is None:
            items, weight = buffer.draw(size, length=length, key=key), jnp.ones(size)
        else:
            rest = jnp.maximum(1 - self.fraction_of(self.importance_timesteps, state.iteration), 0.0)
            beta = 1 - (1 - self.importance_exponent) * rest
            num_items = buffer.num_windows(length)
            items, weight = priorities.draw(size, num_items=num_items, importance_exponent=beta, key=key)
        windows = buffer.windows(items, length=length)
        if state.reward_scale is not None:
            windows = windows._replace(reward=state.reward_scale(windows.reward))
        if is_stateful(state.policy):
            return items, batch_of_sequences(windows, burn_in=self.burn_in, discount=self.discount)
        return items, batch_of_steps(windows, weight, discount=self.discount)

    def improve(
        self, state: OffPolicyState[Learner], transitions: Transition, *, key: Key[Array, ""]
    ) -> tuple[OffPolicyState[Learner], dict[str, Array]]:
        state = self.store(state, transitions)
        arrays, static = eqx.partition(state.learner, eqx.is_array)

        def update(i: Array, arrays: PyTree, priorities: Priorities | None) -> UpdateCarry:
            key_draw, key_learn = jr.split(jr.fold_in(key, i))
            items, batch = self.draw(state, priorities, key=key_draw)
            learner, metrics, error = self.update(eqx.combine(arrays, static), batch, state.iteration, key=key_learn)
            if priorities is not None:
                priorities = priorities.update(items, error, exponent=self.priority_exponent)
            return eqx.filter(learner, eqx.is_array), priorities, metrics

        def body(i: Array, carry: UpdateCarry) -> UpdateCarry:
            arrays, priorities, metrics = update(i, *carry[:2])
            return arrays, priorities, jax.tree.map(jnp.add, carry[2], metrics)

        # A count that the compiler does not know, and a draw that depends on it, keep this a loop. Were the one of a single
        # update taken apart, XLA would fuse writing to the ring with reading from it, and copy all of it in every step.
        count = at_runtime(self.num_updates, state.iteration)
        shapes = jax.eval_shape(update, count, arrays, state.priorities)[2]
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        arrays, priorities, metrics = jax.lax.fori_loop(0, count, body, (arrays, state.priorities, zeros))
        learner = eqx.combine(arrays, static)
        state = dataclasses.replace(state, learner=learner, priorities=priorities, iteration=state.iteration + 1)
        return state, jax.tree.map(lambda x: x / self.num_updates, metrics)
