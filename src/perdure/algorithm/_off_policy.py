"""The off-policy loop: explore, store, sample, learn. Targets and losses live elsewhere."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Int, Key, PyTree

from perdure.env import AbstractEnv
from perdure.policy import AbstractPolicy, update_normalizer

from ._base import AbstractAlgorithm
from ._buffer import Buffer
from ._rollout import Actor, Rollout, Transition, collect, start, uniform_actor
from ._settings import check_fits


class AbstractLearner(eqx.Module):
    """The networks, targets and optimiser states of one algorithm."""

    policy: eqx.AbstractVar[Any]


class OffPolicyState(eqx.Module):
    """Everything training needs."""

    env: AbstractEnv
    learner: Any
    buffer: Buffer
    rollout: Rollout
    key: Key[Array, ""]
    iteration: Int[Array, ""]

    @property
    def policy(self) -> Any:
        return self.learner.policy


class AbstractOffPolicy(AbstractAlgorithm[OffPolicyState]):
    """Subclasses are settings, an exploring action and an update of the learner from one batch."""

    num_updates: eqx.AbstractVar[int]  # in one round
    batch_size: eqx.AbstractVar[int]
    capacity: eqx.AbstractVar[int]
    learning_starts: eqx.AbstractVar[int]

    policy_kind: eqx.AbstractClassVar[tuple[type[AbstractPolicy], str]]  # what it trains, and that in words

    @abstractmethod
    def init_learner(self, policy: Any, *, key: Key[Array, ""]) -> Any:
        """Networks, targets and optimiser states around a policy."""

    @abstractmethod
    def explore(self, learner: Any, iteration: Int[Array, ""]) -> Actor:
        """How to act while learning."""

    @abstractmethod
    def update(
        self, learner: Any, batch: Transition, iteration: Int[Array, ""], *, key: Key[Array, ""]
    ) -> tuple[Any, dict[str, Array]]:
        """The learner after one update, and scalars to log."""

    @property
    def warmup_rollouts(self) -> int:
        return max(1, -(-self.learning_starts // self.steps_per_iteration))

    def begin(self, env: AbstractEnv, policy: Any, *, key: Key[Array, ""]) -> OffPolicyState:
        check_fits(self, env, policy, *self.policy_kind)
        key, key_start, key_learner = jr.split(key, 3)
        learner = self.init_learner(policy, key=key_learner)
        rollout = start(env, policy, self.num_envs, key=key_start)

        def block() -> Transition:
            actor = uniform_actor(env.action_space)
            return as_block(collect(env, policy, actor, rollout, self.num_steps, key=key)[1])

        buffer = Buffer.empty(jax.eval_shape(block), self.capacity)
        return OffPolicyState(env, learner, buffer, rollout, key, jnp.zeros((), jnp.int32))

    def actor(self, state: OffPolicyState) -> Actor:
        return self.explore(state.learner, state.iteration)

    def store(self, state: OffPolicyState, transitions: Transition) -> OffPolicyState:
        return eqx.tree_at(lambda s: s.buffer, state, state.buffer.extend(as_block(transitions)))

    def improve(
        self, state: OffPolicyState, transitions: Transition, *, key: Key[Array, ""]
    ) -> tuple[OffPolicyState, dict[str, Array]]:
        buffer, iteration = self.store(state, transitions).buffer, state.iteration
        policy = update_normalizer(state.policy, as_block(transitions).observation)
        learner = eqx.tree_at(lambda l: l.policy, state.learner, policy)
        arrays, static = eqx.partition(learner, eqx.is_array)

        def update(arrays: PyTree, key: Key[Array, ""]) -> tuple[PyTree, dict[str, Array]]:
            key_sample, key_learn = jr.split(key)
            batch = buffer.sample(self.batch_size, key=key_sample)
            learner, metrics = self.update(eqx.combine(arrays, static), batch, iteration, key=key_learn)
            return eqx.filter(learner, eqx.is_array), metrics

        arrays, metrics = jax.lax.scan(update, arrays, jr.split(key, self.num_updates))
        learner = eqx.combine(arrays, static)
        state = OffPolicyState(state.env, learner, buffer, state.rollout, state.key, iteration + 1)
        return state, jax.tree.map(jnp.mean, metrics)


def as_block(transitions: Transition) -> Transition:
    """The axes of time and environment made one."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), transitions)
