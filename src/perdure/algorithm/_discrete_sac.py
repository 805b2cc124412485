"""Soft actor-critic for discrete actions (Christodoulou 2019, arXiv:1910.07207)."""

import math
from collections.abc import Callable
from typing import ClassVar, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from perdure._core import register
from perdure.policy import AbstractSACPolicy
from perdure.space import Discrete

from ._critics import Critics, new_critics, values_of
from ._math import td_target, value_of
from ._replay import ReplayBatch
from ._role import SOFT, PolicyRole
from ._rollout import Mask
from ._soft import AbstractSoftActorCritic, Noise, Soft


@register(name="algorithm.DiscreteSAC")
@final
class DiscreteSAC(AbstractSoftActorCritic):
    """Soft actor-critic with exact expectations over the actions in place of samples.

    | symbol | field | source |
    |---|---|---|
    | alpha | `temperature`, fixed or learned | eq. 11 |
    | H bar | `target_entropy`, here half of log n for n actions by default | section 4 |
    | V(s') | `targets` | eq. 10 |
    | J_Q | `critic_losses` | eq. 5, 9 |
    | J_pi | `policy_losses` | eq. 12 |

    Departures: the paper's target entropy of 0.98 log n leaves the policy all but uniform, so less is asked for; where a
    mask bars actions, sums run over the legal ones.
    """

    role: ClassVar[PolicyRole] = SOFT
    name: ClassVar[str] = "discrete-sac"

    def new_critics(self, policy: AbstractSACPolicy, *, key: Key[Array, ""]) -> Critics:
        if not isinstance(policy.action_space, Discrete):
            raise TypeError(f"policy.action_space is {policy.action_space}, but DiscreteSAC needs Discrete. Use SAC.")
        return new_critics(policy, 2, key=key)

    def usual_target_entropy(self, policy: AbstractSACPolicy) -> float:
        return 0.5 * math.log(policy.action_space.flat_size)

    def targets(self, soft: Soft, batch: ReplayBatch, noise: Noise) -> Float[Array, " batch"]:
        p, log_p = probabilities(soft.policy, batch.after, batch.next_action_mask)
        q = values_of(soft.critics, batch.after, None).min(0)
        soft_value = (p * (q - soft.alpha * log_p)).sum(1)
        return td_target(batch.reward, soft_value, batch.terminated, discount=batch.discount)

    def critic_losses(
        self, critics: Critics, y: Float[Array, " batch"], batch: ReplayBatch
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        q = jax.vmap(lambda q: value_of(q, batch.action))(values_of(critics, batch.now, None))
        return 0.5 * jnp.square(q - y).sum(0), q.mean(0)

    def policy_losses(
        self, soft: Soft, batch: ReplayBatch, noise: Noise
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        p, log_p = probabilities(soft.policy, batch.now, batch.action_mask)
        q = values_of(soft.critics, batch.now, None).min(0)
        return (p * (soft.alpha * log_p - q)).sum(1), -(p * log_p).sum(1)


def probabilities(
    policy: AbstractSACPolicy, look: Callable[..., PyTree], mask: Mask
) -> tuple[Float[Array, "batch actions"], Float[Array, "batch actions"]]:
    """The policy's probabilities at each step, and their logarithms, which are 0 where an action is barred."""
    logits = look(policy.distribution, mask).logits
    log_p = jax.nn.log_softmax(logits) if mask is None else jnp.where(mask, jax.nn.log_softmax(logits), 0.0)
    return jax.nn.softmax(logits), log_p
