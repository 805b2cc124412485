"""The on-policy loop: collect a rollout, estimate advantages, learn from minibatches of it. Losses live elsewhere."""

import dataclasses
import math
from abc import abstractmethod
from typing import ClassVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from perdure._core import added, register, select, split_trainable
from perdure.env import AbstractEnv
from perdure.policy import AbstractActorCriticPolicy, AbstractPolicy, held_noise, is_stateful, update_normalizer

from ._base import AbstractAlgorithm
from ._evaluate import Evaluation, RolloutBatch, evaluate, flatten
from ._fits import check_fits
from ._math import gae, gradient_step
from ._reward_scale import RewardScale
from ._role import ACTOR_CRITIC, PolicyRole
from ._rollout import Behavior, Mask, Rollout, Transition, start
from ._schedule import falling
from ._shuffle import permutation


@register(name="algorithm.OnPolicyState", upgrades=[added(steps_ahead=jnp.zeros((), jnp.int32))])
class OnPolicyState(eqx.Module):
    """Everything training needs."""

    env: AbstractEnv
    policy: AbstractActorCriticPolicy
    optimizer_state: PyTree
    rollout: Rollout
    reward_scale: RewardScale | None  # None unless rewards are normalised
    key: Key[Array, ""]
    iteration: Int[Array, ""]
    steps_ahead: Int[Array, ""]  # environment steps made beyond those iterations, under settings of before


class Learning(eqx.Module):
    """What changes from one minibatch to the next."""

    parameters: PyTree
    optimizer_state: PyTree
    stopped: Bool[Array, ""]  # the target KL was passed: nothing changes any more


class AbstractOnPolicy(AbstractAlgorithm[OnPolicyState]):
    """Subclasses are settings, an optimiser and a loss.

    Minibatches are made of single steps, or, for a policy with a memory, of whole environments, whose steps are replayed
    in order (see `evaluate`). Nothing else depends on the kind of policy.
    """

    role: ClassVar[PolicyRole] = ACTOR_CRITIC

    learning_rate: eqx.AbstractVar[float]
    anneal_timesteps: eqx.AbstractVar[int | None]  # environment steps over which the learning rate falls to zero
    num_epochs: eqx.AbstractVar[int]
    num_minibatches: eqx.AbstractVar[int]
    discount: eqx.AbstractVar[float]
    gae_lambda: eqx.AbstractVar[float]
    target_kl: eqx.AbstractVar[float | None]
    normalize_reward: eqx.AbstractVar[bool]

    @abstractmethod
    def optimizer(self) -> optax.GradientTransformation:
        """The optimiser that the settings describe."""

    @abstractmethod
    def loss(
        self, new: Evaluation, batch: RolloutBatch, iteration: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """A scalar to descend and scalars to log, over one minibatch.

        `new` is what the policy says now, `batch` holds what it said when it acted; both have one leading axis. A loss
        with a `target_kl` logs `approximate_kl`.
        """

    def learning_rate_schedule(self) -> float | optax.Schedule:
        """`learning_rate`, or its way to zero, counted in gradient steps."""
        if self.anneal_timesteps is None:
            return self.learning_rate
        updates = self.anneal_timesteps // self.steps_per_iteration * self.num_epochs * self.num_minibatches
        return falling(self.learning_rate, updates)

    @property
    def warmup_rollouts(self) -> int:
        return 0

    def begin(self, env: AbstractEnv, policy: AbstractPolicy, *, key: Key[Array, ""]) -> OnPolicyState:
        check_fits(self, env, policy)
        if is_stateful(policy) and self.num_envs % self.num_minibatches:
            raise ValueError(
                f"{type(self).__name__}.num_minibatches={self.num_minibatches} does not divide num_envs={self.num_envs}, "
                "but a policy with a memory learns from whole environments. "
                f"Try num_minibatches={math.gcd(self.num_minibatches, self.num_envs)}."
            )
        key, key_start = jr.split(key)
        optimizer_state = self.optimizer().init(split_trainable(policy)[0])
        rollout = start(env, policy, self.num_envs, key=key_start)
        reward_scale = RewardScale(self.num_envs) if self.normalize_reward else None
        return OnPolicyState(
            env,
            cast(AbstractActorCriticPolicy, policy),
            optimizer_state,
            rollout,
            reward_scale,
            key,
            jnp.zeros((), jnp.int32),
            jnp.zeros((), jnp.int32),
        )

    def behavior(self, state: OnPolicyState) -> Behavior:
        policy = state.policy

        def act(
            policy_state: PyTree, observation: PyTree, mask: Mask, noise: PyTree
        ) -> tuple[PyTree, PyTree, PyTree, Array]:
            policy_state, distribution, _ = policy.evaluate(policy_state, observation, mask)
            action = distribution.from_noise(noise)
            return policy_state, action, policy.environment_action(action), distribution.log_prob(action)

        return Behavior(lambda num_steps, key: held_noise(policy, num_steps, key=key), act)

    def store(self, state: OnPolicyState, transitions: Transition) -> OnPolicyState:
        return state  # nothing outlives an iteration

    def improve(
        self, state: OnPolicyState, transitions: Transition, *, key: Key[Array, ""]
    ) -> tuple[OnPolicyState, dict[str, Array]]:
        policy, reward_scale = state.policy, state.reward_scale
        if reward_scale is not None:
            reward_scale = reward_scale.update(transitions.reward, transitions.terminated, discount=self.discount)
            transitions = transitions._replace(reward=reward_scale(transitions.reward))
        batch = self.to_batch(policy, transitions)
        policy, optimizer_state, metrics = self.fit(policy, state.optimizer_state, batch, state.iteration, key=key)
        policy = update_normalizer(policy, flatten(transitions.observation))  # after learning: ratios start at one
        learned = {"policy": policy, "optimizer_state": optimizer_state, "reward_scale": reward_scale}
        return dataclasses.replace(state, **learned, iteration=state.iteration + 1), metrics

    def to_batch(self, policy: AbstractActorCriticPolicy, t: Transition) -> RolloutBatch:
        """Advantages and value targets, with one leading axis of what a minibatch is made of.

        Values need no replay, even of a memory: the state that went in with each observation is stored.
        """

        def values_of(state: PyTree, observation: PyTree, next_observation: PyTree) -> tuple[Array, Array]:
            state, value = policy.value(state, observation)
            return value, policy.value(state, next_observation)[1]

        value, next_value = jax.vmap(jax.vmap(values_of))(t.policy_state, t.observation, t.next_observation)
        advantage = jax.vmap(
            lambda *steps: gae(*steps, discount=self.discount, gae_lambda=self.gae_lambda), in_axes=1, out_axes=1
        )(t.reward, value, next_value, t.terminated, t.truncated)
        begins = jnp.roll(t.terminated | t.truncated, 1, axis=0).at[0].set(True)
        batch = RolloutBatch(
            t.observation,
            t.action,
            t.action_mask,
            t.policy_state,
            begins,
            t.extras,
            value,
            advantage,
            advantage + value,
        )
        if is_stateful(policy):
            return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), batch)  # (time, num_envs) -> (num_envs, time)
        return flatten(batch)

    def fit(
        self,
        policy: AbstractActorCriticPolicy,
        optimizer_state: PyTree,
        batch: RolloutBatch,
        iteration: Int[Array, ""],
        *,
        key: Key[Array, ""],
    ) -> tuple[AbstractActorCriticPolicy, PyTree, dict[str, Array]]:
        """`num_epochs` passes over the batch in minibatches, each pass in a new order."""
        parameters, rest = split_trainable(policy)
        optimizer, num_items = self.optimizer(), batch.value.shape[0]
        size = num_items // self.num_minibatches

        def minibatch(before: Learning, batch: RolloutBatch) -> tuple[Learning, dict[str, Array]]:
            def loss(parameters: PyTree) -> tuple[Float[Array, ""], dict[str, Array]]:
                new, old = evaluate(eqx.combine(parameters, rest), batch)
                return self.loss(new, old, iteration)

            gradient, metrics = jax.grad(loss, has_aux=True)(before.parameters)
            step = gradient_step(optimizer, before.optimizer_state, before.parameters, gradient)
            after = Learning(*step, before.stopped)
            if self.target_kl is not None:
                stopped = before.stopped | (metrics["approximate_kl"] > self.target_kl)
                metrics["stopped"] = stopped.astype(float)
                after = select(stopped, Learning(before.parameters, before.optimizer_state, stopped), after)
            return after, metrics

        def epoch(learning: Learning, order: Int[Array, " items"]) -> tuple[Learning, dict[str, Array]]:
            shuffled = jax.tree.map(lambda x: x[order].reshape(-1, size, *x.shape[1:]), batch)
            return jax.lax.scan(minibatch, learning, shuffled)

        orders = jax.vmap(lambda k: permutation(num_items, key=k))(jr.split(key, self.num_epochs))
        learning = Learning(parameters, optimizer_state, jnp.zeros((), bool))
        learning, metrics = jax.lax.scan(epoch, learning, orders)
        return eqx.combine(learning.parameters, rest), learning.optimizer_state, jax.tree.map(jnp.mean, metrics)
