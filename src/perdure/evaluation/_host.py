"""Returns of a policy on a host environment, stepped in Python around one compiled call a step."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax import random as jr
from jaxtyping import Array, Float, Key

from perdure.env.adapter import HostEnv
from perdure.policy import AbstractPolicy


def evaluate_on_host(
    policy: AbstractPolicy,
    env: HostEnv,
    num_episodes: int,
    deterministic: bool,
    max_episode_steps: int,
    *,
    key: Key[Array, ""],
) -> Float[np.ndarray, " num_episodes"]:
    """As `evaluate`. Episodes are played in waves, one in each environment, so that short ones do not count more."""
    returns: list[np.ndarray] = []
    key, key_seed = jr.split(key)
    seed: int | None = int(jr.bits(key_seed)) % 2**31
    for _ in range(-(-num_episodes // env.num_envs)):
        key, key_policy = jr.split(key)
        observation, seed = env.reset(seed=seed), None
        policy_state = jax.vmap(lambda k: policy.reset(key=k))(jr.split(key_policy, env.num_envs))
        total, playing = np.zeros(env.num_envs, np.float32), np.ones(env.num_envs, bool)
        for _ in range(max_episode_steps):
            key, policy_state, action = act(policy, policy_state, observation, env.action_mask, key, deterministic)
            step = env.step(action)
            observation = step.observation
            total += np.where(playing, step.reward, 0)
            playing &= ~(step.terminated | step.truncated)
            if not playing.any():
                break
        returns.append(total)
    return np.concatenate(returns)[:num_episodes]


@eqx.filter_jit
def act(
    policy: Any, policy_state: Any, observation: Any, mask: Any, key: Key[Array, ""], deterministic: bool
) -> tuple[Any, Any, Any]:
    """The next key, and the next states and the actions of all environments."""
    key, key_act = jr.split(key)
    num_envs = jax.tree.leaves(observation)[0].shape[0]

    def one(policy_state: Any, observation: Any, mask: Any, key: Key[Array, ""]) -> Any:
        return policy(policy_state, observation, key=None if deterministic else key, action_mask=mask)

    return key, *jax.vmap(one)(policy_state, observation, mask, jr.split(key_act, num_envs))
