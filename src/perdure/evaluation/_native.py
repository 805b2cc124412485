"""Returns of a policy: on a native environment compiled, on a host environment step by step."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Float, Int, Key

from perdure._core import check_counts, check_finite
from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv
from perdure.policy import AbstractPolicy, check_same_spaces

from ._host import evaluate_on_host


def evaluate(
    policy: AbstractPolicy,
    env: AbstractEnv | HostEnv,
    *,
    num_episodes: int = 20,
    deterministic: bool = True,
    max_episode_steps: int = 10_000,
    allow_nonfinite: bool = False,
    key: Key[Array, ""],
) -> Float[np.ndarray, " num_episodes"]:
    """The undiscounted return of each of `num_episodes` episodes, each from its own random start.

    `deterministic` gives the policy no key. An episode that has not ended after `max_episode_steps` is cut there and
    counts with what it has earned; `perdure.env.make` gives environments with their usual limits.

    Raises: ValueError if `num_episodes` or `max_episode_steps` is below 1, or the policy is for other spaces;
    NonFiniteError (a ValueError) for a policy with numbers that are not finite unless `allow_nonfinite`, and for a reward
    of a host environment that is not.
    """
    check_same_spaces(policy, env)
    check_finite(policy, "evaluate", allow_nonfinite=allow_nonfinite)
    check_counts(num_episodes=num_episodes, max_episode_steps=max_episode_steps)
    if isinstance(env, HostEnv):
        return evaluate_on_host(policy, env, num_episodes, deterministic, max_episode_steps, key=key)
    keys = jr.split(key, num_episodes)
    return np.asarray(play(policy, env, keys, jnp.asarray(max_episode_steps), deterministic))


@eqx.filter_jit
def play(
    policy: AbstractPolicy, env: AbstractEnv, keys: Key[Array, " episodes"], limit: Int[Array, ""], deterministic: bool
) -> Float[Array, " episodes"]:
    """All episodes side by side, until the last has ended."""

    def start(key: Key[Array, ""]) -> tuple[Any, ...]:
        key_env, key_policy, key = jr.split(key, 3)
        env_state, observation = env.reset(key=key_env)
        return env_state, observation, policy.reset(key=key_policy), key, jnp.zeros(()), jnp.zeros((), bool)

    def step(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        env_state, observation, policy_state, key, total, done = carry
        key, key_act, key_step = jr.split(key, 3)
        policy_state, action = policy(
            policy_state,
            observation,
            key=None if deterministic else key_act,
            action_mask=env.action_mask(env_state),
        )
        result = env.step(env_state, action, key=key_step)
        total = total + jnp.where(done, 0.0, result.reward)
        done = done | result.terminated | result.truncated
        return result.state, result.observation, policy_state, key, total, done

    def unfinished(carry: tuple[Any, Array]) -> Array:
        return ~carry[0][-1].all() & (carry[1] < limit)

    episodes, _ = jax.lax.while_loop(
        unfinished, lambda carry: (jax.vmap(step)(carry[0]), carry[1] + 1), (jax.vmap(start)(keys), jnp.zeros((), int))
    )
    return episodes[-2]
