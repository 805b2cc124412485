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
from ._rollout import Actor, Rollout, Transition, collect, start
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

    num_envs: eqx.AbstractVar[int]
    num_steps: eqx.AbstractVar[int]  # of each environment between two rounds of updates
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
    def steps_per_iteration(self) -> int:
        return self.num_envs * self.num_steps

    @property
    def warmup_blocks(self) -> int:
        """Rollouts that `init` stores before learning starts, with actions drawn uniformly; at least one."""
        return max(1, -(-self.learning_starts // self.steps_per_iteration))

    @property
    def steps_before_learning(self) -> int:
        return self.warmup_blocks * self.steps_per_iteration

    @eqx.filter_jit
    def init(self, env: AbstractEnv, policy: Any, *, key: Key[Array, ""]) -> OffPolicyState:
        """A fresh training state, with `learning_starts` transitions of uniformly drawn legal actions in the buffer.

        Raises: TypeError for a policy of another kind, ValueError for one made for other spaces.
        """
        check_fits(self, env, policy, *self.policy_kind)
        key, key_start, key_learner, key_warmup = jr.split(key, 4)
        learner = self.init_learner(policy, key=key_learner)
        rollout = start(env, policy, self.num_envs, key=key_start)

        def act(policy_state: Any, observation: Any, mask: Any, key: Key[Array, ""]) -> tuple[Any, Any, Any, None]:
            action = env.action_space.sample(key=key, mask=mask)
            return policy_state, action, action, None

        actor = Actor(lambda k: k, act)

        def warm_up(carry: tuple[Rollout, Buffer], key: Key[Array, ""]) -> tuple[tuple[Rollout, Buffer], None]:
            rollout, block, _ = self.collect_block(env, policy, actor, carry[0], key=key)
            return (rollout, carry[1].extend(block)), None

        example = jax.eval_shape(lambda r: self.collect_block(env, policy, actor, r, key=key_warmup)[1], rollout)
        buffer = Buffer.empty(example, self.capacity)
        (rollout, buffer), _ = jax.lax.scan(warm_up, (rollout, buffer), jr.split(key_warmup, self.warmup_blocks))
        return OffPolicyState(env, learner, buffer, rollout, key, jnp.zeros((), jnp.int32))

    def collect_block(
        self, env: AbstractEnv, policy: AbstractPolicy, actor: Actor, rollout: Rollout, *, key: Key[Array, ""]
    ) -> tuple[Rollout, Transition, dict[str, Array]]:
        """`num_steps` steps of every environment, the axes of time and environment made one."""
        rollout, transitions, episodes = collect(env, policy, actor, rollout, self.num_steps, key=key)
        return rollout, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), transitions), episodes

    def iterate(self, state: OffPolicyState) -> tuple[OffPolicyState, dict[str, Array]]:
        learner, iteration = state.learner, state.iteration
        key, key_collect, key_update = jr.split(state.key, 3)
        actor = self.explore(learner, iteration)
        rollout, block, episodes = self.collect_block(state.env, learner.policy, actor, state.rollout, key=key_collect)
        buffer = state.buffer.extend(block)
        learner = eqx.tree_at(lambda l: l.policy, learner, update_normalizer(learner.policy, block.observation))
        arrays, static = eqx.partition(learner, eqx.is_array)

        def update(arrays: PyTree, key: Key[Array, ""]) -> tuple[PyTree, dict[str, Array]]:
            key_sample, key_learn = jr.split(key)
            batch = buffer.sample(self.batch_size, key=key_sample)
            learner, metrics = self.update(eqx.combine(arrays, static), batch, iteration, key=key_learn)
            return eqx.filter(learner, eqx.is_array), metrics

        arrays, metrics = jax.lax.scan(update, arrays, jr.split(key_update, self.num_updates))
        state = OffPolicyState(state.env, eqx.combine(arrays, static), buffer, rollout, key, iteration + 1)
        return state, {**jax.tree.map(jnp.mean, metrics), **episodes}
