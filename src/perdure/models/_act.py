"""One compiled function for the actions of agents."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from perdure.policy import AbstractDeterministicPolicy, AbstractPolicy

Mask = Bool[Array, "..."] | Bool[np.ndarray, "..."] | None


@eqx.filter_jit
def act(
    policy: AbstractPolicy,
    observation: PyTree,
    policy_state: PyTree,
    mask: Mask,
    key: Key[Array, ""] | None,
    exploration_noise: Float[Array, ""],
    *,
    is_batch: bool,
) -> tuple[PyTree, PyTree]:
    """`(action, policy_state)` of one observation or of a batch; a `policy_state` of None begins an episode.

    Without `key` the best action; with it a sample of a stochastic policy, the normalised action of a deterministic one
    with normal noise of deviation `exploration_noise`.
    """

    def one(observation: PyTree, policy_state: PyTree, mask: Mask, key: Key[Array, ""] | None) -> tuple[PyTree, PyTree]:
        if isinstance(policy, AbstractDeterministicPolicy) and key is not None:
            policy_state, action = policy.normalized_action(policy_state, observation)
            action = jnp.clip(action + exploration_noise * jr.normal(key, action.shape), -1.0, 1.0)
            return policy.environment_action(action), policy_state
        policy_state, action = policy(policy_state, observation, key=key, action_mask=mask)
        return action, policy_state

    if not is_batch:
        policy_state = policy.reset(key=jr.key(0)) if policy_state is None else policy_state
        return one(observation, policy_state, mask, key)
    size = jax.tree.leaves(observation)[0].shape[0]
    if policy_state is None:
        policy_state = jax.vmap(lambda k: policy.reset(key=k))(jr.split(jr.key(0), size))
    return jax.vmap(one)(observation, policy_state, mask, None if key is None else jr.split(key, size))
