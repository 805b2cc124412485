"""How off-policy algorithms act while they learn."""

import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key, PyTree

from perdure.policy import (
    AbstractDeterministicPolicy,
    AbstractQPolicy,
    AbstractSACPolicy,
    epsilon_greedy,
    epsilon_greedy_noise,
    held_noise,
)
from perdure.space import Discrete

from ._rollout import Behavior, Mask


def linear(start: float, end: float, fraction: Float[Array, ""] | float) -> Float[Array, ""]:
    """From `start` to `end` as `fraction` goes from 0 to 1, and `end` after that."""
    return start + (end - start) * jnp.clip(fraction, 0.0, 1.0)


def epsilon_greedy_behavior(policy: AbstractQPolicy, epsilon: Float[Array, ""]) -> Behavior:
    """The best action, or with probability `epsilon` a uniformly drawn legal one. Raw actions are indices."""
    assert isinstance(policy.action_space, Discrete)
    num_actions, first = policy.action_space.n, policy.action_space.start

    def act(policy_state: PyTree, observation: PyTree, mask: Mask, noise: PyTree) -> tuple[PyTree, Array, Array, None]:
        policy_state, q_values = policy.q_values(policy_state, observation)
        index = epsilon_greedy(q_values, epsilon, noise, action_mask=mask)
        return policy_state, index, index + first, None

    def noise(num_steps: int, key: Key[Array, ""]) -> PyTree:
        return jax.vmap(lambda k: epsilon_greedy_noise(num_actions, key=k))(jr.split(key, num_steps))

    return Behavior(noise, act)


def noisy_behavior(policy: AbstractDeterministicPolicy, deviation: float) -> Behavior:
    """The policy's action and normal noise. Raw actions are normalised to [-1, 1], and so is `deviation`."""
    size = policy.action_space.flat_size

    def act(policy_state: PyTree, observation: PyTree, mask: Mask, noise: Array) -> tuple[PyTree, Array, PyTree, None]:
        policy_state, action = policy.normalized_action(policy_state, observation)
        action = jnp.clip(action + deviation * noise, -1.0, 1.0)
        return policy_state, action, policy.environment_action(action), None

    return Behavior(lambda num_steps, key: jr.normal(key, (num_steps, size)), act)


def sampling_behavior(policy: AbstractSACPolicy) -> Behavior:
    """A sample of the policy. Raw actions are what critics take: normalised ones, or indices."""

    def act(policy_state: PyTree, observation: PyTree, mask: Mask, noise: Array) -> tuple[PyTree, Array, PyTree, None]:
        policy_state, distribution = policy.distribution(policy_state, observation, mask)
        action = distribution.from_noise(noise)
        return policy_state, policy.normalized_action(action), policy.environment_action(action), None

    return Behavior(lambda num_steps, key: held_noise(policy, num_steps, key=key), act)
