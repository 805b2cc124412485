"""Soft actor-critic for continuous actions (Haarnoja et al. 2018, arXiv:1812.05905)."""

from typing import ClassVar, final

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from perdure._core import register
from perdure.policy import AbstractSACPolicy, QFunction

from ._critics import new_critics, values_of
from ._math import td_target
from ._replay import Batch
from ._soft import AbstractSoftActorCritic, sampled


@register(name="algorithm.SAC")
@final
class SAC(AbstractSoftActorCritic):
    """Learns to be as random as it can be while earning what it can.

    | symbol | field | source |
    |---|---|---|
    | alpha | `temperature`, fixed or learned | eq. 18 |
    | H bar | `target_entropy`, minus the number of action entries by default | table 1 |
    | Q_theta_1, Q_theta_2 | two critics, the lesser counts | section 6 |
    | J_Q | `targets`, `critic_losses` | eq. 5, 6 |
    | J_pi | `policy_losses` | eq. 9 |
    | tau, gamma | `tau`, `discount` | algorithm 1 |

    Departures: none of the mathematics; the temperature's gradient is that of the authors' code, see `temperature_step`.
    """

    policy_kind: ClassVar = (AbstractSACPolicy, "a soft actor")

    def new_critics(self, policy: AbstractSACPolicy, *, key: Key[Array, ""]) -> QFunction:
        return new_critics(policy, 2, key=key)

    def usual_target_entropy(self, policy: AbstractSACPolicy) -> float:
        return -float(policy.action_space.flat_size)

    def targets(
        self,
        policy: AbstractSACPolicy,
        critics: QFunction,
        alpha: Float[Array, ""],
        batch: Batch,
        *,
        key: Key[Array, ""],
    ) -> Float[Array, " batch"]:
        action, log_prob = sampled(policy, batch.after, batch.reward.size, key=key)
        q = values_of(critics, batch.after, action)[:, :, 0].min(0)  # pessimism over the twins
        return td_target(batch.reward, q - alpha * log_prob, batch.terminated, discount=batch.discount)

    def critic_losses(
        self, critics: QFunction, y: Float[Array, " batch"], batch: Batch
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        q = values_of(critics, batch.now, batch.action)[:, :, 0]
        return 0.5 * jnp.square(q - y).sum(0), q.mean(0)

    def policy_losses(
        self,
        policy: AbstractSACPolicy,
        critics: QFunction,
        alpha: Float[Array, ""],
        batch: Batch,
        *,
        key: Key[Array, ""],
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        action, log_prob = sampled(policy, batch.now, batch.reward.size, key=key)
        return alpha * log_prob - values_of(critics, batch.now, action)[:, :, 0].min(0), -log_prob
