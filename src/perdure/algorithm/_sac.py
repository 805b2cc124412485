"""Soft actor-critic for continuous actions (Haarnoja et al. 2018, arXiv:1812.05905)."""

from typing import ClassVar, final

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from perdure._core import register
from perdure.policy import AbstractSACPolicy

from ._critics import Critics, check_continuous, new_critics, values_of
from ._math import td_target
from ._replay import ReplayBatch
from ._role import SOFT, PolicyRole
from ._soft import AbstractSoftActorCritic, Noise, Soft, sampled


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

    role: ClassVar[PolicyRole] = SOFT
    name: ClassVar[str] = "sac"

    def new_critics(self, policy: AbstractSACPolicy, *, key: Key[Array, ""]) -> Critics:
        check_continuous(self, policy)
        return new_critics(policy, 2, key=key)

    def targets(self, soft: Soft, batch: ReplayBatch, noise: Noise) -> Float[Array, " batch"]:
        action, log_prob = sampled(soft.policy, batch.after, noise)
        q = values_of(soft.critics, batch.after, action)[:, :, 0].min(0)  # pessimism over the twins
        return td_target(batch.reward, q - soft.alpha * log_prob, batch.terminated, discount=batch.discount)

    def critic_losses(
        self, critics: Critics, y: Float[Array, " batch"], batch: ReplayBatch
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        q = values_of(critics, batch.now, batch.action)[:, :, 0]
        return 0.5 * jnp.square(q - y).sum(0), q.mean(0)

    def policy_losses(
        self, soft: Soft, batch: ReplayBatch, noise: Noise
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        action, log_prob = sampled(soft.policy, batch.now, noise)
        return soft.alpha * log_prob - values_of(soft.critics, batch.now, action)[:, :, 0].min(0), -log_prob
