"""The on-policy loop: collect a rollout, estimate advantages, learn from minibatches of it. Losses live elsewhere."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import random as jr
from jaxtyping import Array, Float, Int, Key, PyTree

from perdure._core import split_trainable
from perdure.env import AbstractEnv
from perdure.policy import AbstractActorCriticPolicy, update_normalizer

from ._base import AbstractAlgorithm
from ._math import gae, gradient_step
from ._rollout import Actor, Rollout, Transition, collect, start
from ._settings import check_fits
from ._shuffle import permutation


class Batch(eqx.Module):
    """What a loss sees, with one leading axis (two, `time` and `num_envs`, before they are made one)."""

    observation: PyTree
    action: PyTree  # raw
    action_mask: Any
    log_prob: Float[Array, "*batch"]  # when it was sampled
    value: Float[Array, "*batch"]  # before learning
    advantage: Float[Array, "*batch"]
    target: Float[Array, "*batch"]  # of the value: advantage + value


class OnPolicyState(eqx.Module):
    """Everything training needs."""

    env: AbstractEnv
    policy: AbstractActorCriticPolicy
    optimizer_state: PyTree
    rollout: Rollout
    key: Key[Array, ""]
    iteration: Int[Array, ""]


class AbstractOnPolicy(AbstractAlgorithm[OnPolicyState]):
    """Subclasses are settings and a loss."""

    num_envs: eqx.AbstractVar[int]
    num_steps: eqx.AbstractVar[int]
    num_epochs: eqx.AbstractVar[int]
    num_minibatches: eqx.AbstractVar[int]
    discount: eqx.AbstractVar[float]
    gae_lambda: eqx.AbstractVar[float]

    @abstractmethod
    def loss(self, policy: AbstractActorCriticPolicy, batch: Batch) -> tuple[Float[Array, ""], dict[str, Array]]:
        """A scalar to descend and scalars to log, over one minibatch."""

    @abstractmethod
    def optimizer(self) -> optax.GradientTransformation:
        """The optimiser that the settings describe."""

    @property
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @eqx.filter_jit
    def init(self, env: AbstractEnv, policy: Any, *, key: Key[Array, ""]) -> OnPolicyState:
        """A fresh training state; every environment at the start of an episode.

        Raises: TypeError for a policy of another kind, ValueError for one made for other spaces.
        """
        check_fits(self, env, policy, AbstractActorCriticPolicy, "an actor-critic policy")
        key, key_start = jr.split(key)
        optimizer_state = self.optimizer().init(split_trainable(policy)[0])
        rollout = start(env, policy, self.num_envs, key=key_start)
        return OnPolicyState(env, policy, optimizer_state, rollout, key, jnp.zeros((), jnp.int32))

    def iterate(self, state: OnPolicyState) -> tuple[OnPolicyState, dict[str, Array]]:
        policy = state.policy
        key, key_collect, key_fit = jr.split(state.key, 3)

        def act(policy_state: Any, observation: Any, mask: Any, noise: Any) -> tuple[Any, Any, Any, Any]:
            policy_state, distribution, _ = policy.evaluate(policy_state, observation, mask)
            action = distribution.from_noise(noise)
            return policy_state, action, policy.environment_action(action), distribution.log_prob(action)

        actor = Actor(lambda k: policy.noise(key=k), act)
        rollout, transitions, episodes = collect(
            state.env, policy, actor, state.rollout, self.num_steps, key=key_collect
        )
        batch = self.to_batch(policy, transitions)
        policy, optimizer_state, metrics = self.fit(policy, state.optimizer_state, batch, key=key_fit)
        policy = update_normalizer(policy, batch.observation)  # after learning, so that ratios start at one
        state = OnPolicyState(state.env, policy, optimizer_state, rollout, key, state.iteration + 1)
        return state, {**metrics, **episodes}

    def to_batch(self, policy: AbstractActorCriticPolicy, t: Transition) -> Batch:
        """Advantages and value targets; the axes of time and environment become one."""

        def value_of(observation: PyTree) -> Float[Array, "time num_envs"]:
            return jax.vmap(jax.vmap(lambda s, o: policy.value(s, o)[1]))(t.policy_state, observation)

        value, next_value = value_of(t.observation), value_of(t.next_observation)
        advantage = jax.vmap(
            lambda *steps: gae(*steps, discount=self.discount, gae_lambda=self.gae_lambda), in_axes=1, out_axes=1
        )(t.reward, value, next_value, t.terminated, t.truncated)
        batch = Batch(t.observation, t.action, t.action_mask, t.extras, value, advantage, advantage + value)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)

    def fit(
        self, policy: AbstractActorCriticPolicy, optimizer_state: PyTree, batch: Batch, *, key: Key[Array, ""]
    ) -> tuple[AbstractActorCriticPolicy, PyTree, dict[str, Array]]:
        """`num_epochs` passes over the batch in minibatches, each pass in a new order."""
        parameters, rest = split_trainable(policy)
        optimizer, size = self.optimizer(), self.steps_per_iteration // self.num_minibatches

        def minibatch(carry: tuple[PyTree, PyTree], batch: Batch) -> tuple[tuple[PyTree, PyTree], dict[str, Array]]:
            parameters, optimizer_state = carry
            gradient, metrics = jax.grad(lambda p: self.loss(eqx.combine(p, rest), batch), has_aux=True)(parameters)
            return gradient_step(optimizer, optimizer_state, parameters, gradient), metrics

        def epoch(carry: tuple[PyTree, PyTree], order: Int[Array, " batch"]) -> tuple[tuple[PyTree, PyTree], dict[str, Array]]:
            shuffled = jax.tree.map(lambda x: x[order].reshape(-1, size, *x.shape[1:]), batch)
            return jax.lax.scan(minibatch, carry, shuffled)

        orders = jax.vmap(lambda k: permutation(self.steps_per_iteration, key=k))(jr.split(key, self.num_epochs))
        (parameters, optimizer_state), metrics = jax.lax.scan(epoch, (parameters, optimizer_state), orders)
        return eqx.combine(parameters, rest), optimizer_state, jax.tree.map(jnp.mean, metrics)
