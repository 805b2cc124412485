"""Stepping environments with a policy: the only place that steps, resets and keeps the true successor."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from perdure._core import select
from perdure.env import AbstractEnv, autoreset
from perdure.policy import AbstractPolicy


class Transition(NamedTuple):
    """One step of one environment."""

    observation: PyTree
    action: PyTree  # raw, as sampled: its log-probability belongs to it, not to the clipped one
    reward: Float[Array, "..."]
    next_observation: PyTree  # the true successor, never the first observation of the next episode
    terminated: Bool[Array, "..."]
    truncated: Bool[Array, "..."]
    policy_state: PyTree  # the state that went in with `observation`
    action_mask: Any  # the mask that went in with `observation`; None where everything is legal
    next_action_mask: Any
    extras: PyTree  # what the acting function adds, such as log-probabilities


class Rollout(eqx.Module):
    """Where each environment stands; leading axis `num_envs` on every array."""

    env_state: PyTree
    observation: PyTree
    policy_state: PyTree
    episode_return: Float[Array, " num_envs"]  # of the episode under way, rewards as the environment gives them
    episode_length: Int[Array, " num_envs"]


# One environment: (policy_state, observation, action_mask, key) -> (policy_state, raw action, executed action, extras)
Act = Callable[[PyTree, PyTree, Any, Key[Array, ""]], tuple[PyTree, PyTree, PyTree, PyTree]]


def start(env: AbstractEnv, policy: AbstractPolicy, num_envs: int, *, key: Key[Array, ""]) -> Rollout:
    """All environments at the start of an episode."""
    key_env, key_policy = jr.split(key)
    env_state, observation = jax.vmap(lambda k: env.reset(key=k))(jr.split(key_env, num_envs))
    policy_state = jax.vmap(lambda k: policy.reset(key=k))(jr.split(key_policy, num_envs))
    return Rollout(env_state, observation, policy_state, jnp.zeros(num_envs), jnp.zeros(num_envs, jnp.int32))


def collect(
    env: AbstractEnv, policy: AbstractPolicy, act: Act, rollout: Rollout, num_steps: int, *, key: Key[Array, ""]
) -> tuple[Rollout, Transition, dict[str, Array]]:
    """Step every environment `num_steps` times.

    Returns where they stand then, the transitions with leading axes `(num_steps, num_envs)`, and sums over the episodes
    that ended: `episodes`, `return_sum`, `length_sum`.
    """

    def step(at: Rollout, keys: Key[Array, "4"]) -> tuple[Rollout, tuple[Transition, Array]]:
        key_act, key_step, key_reset, key_policy = keys
        mask = env.action_mask(at.env_state)
        policy_state, raw_action, action, extras = act(at.policy_state, at.observation, mask, key_act)
        result = env.step(at.env_state, action, key=key_step)
        transition = Transition(
            observation=at.observation,
            action=raw_action,
            reward=result.reward,
            next_observation=result.observation,
            terminated=result.terminated,
            truncated=result.truncated,
            policy_state=at.policy_state,
            action_mask=mask,
            next_action_mask=env.action_mask(result.state),
            extras=extras,
        )
        done = result.terminated | result.truncated
        env_state, observation = autoreset(env, result, key=key_reset)
        policy_state = select(done, policy.reset(key=key_policy), policy_state)
        episode_return, episode_length = at.episode_return + result.reward, at.episode_length + 1
        ended = jnp.where(done, jnp.stack([jnp.ones(()), episode_return, episode_length.astype(float)]), 0.0)
        going_on = (jnp.where(done, 0.0, episode_return), jnp.where(done, 0, episode_length))
        return Rollout(env_state, observation, policy_state, *going_on), (transition, ended)

    keys = jr.split(key, (num_steps, rollout.episode_return.shape[0], 4))
    rollout, (transitions, ended) = jax.lax.scan(jax.vmap(step), rollout, keys)
    episodes, return_sum, length_sum = ended.sum((0, 1))
    return rollout, transitions, {"episodes": episodes, "return_sum": return_sum, "length_sum": length_sum}
