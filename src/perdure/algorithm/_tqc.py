"""Truncated quantile critics (Kuznetsov et al. 2020, arXiv:2005.04269)."""

from typing import ClassVar, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from perdure._core import NonNegativeInt, PositiveInt, register
from perdure.policy import AbstractSACPolicy

from ._critics import Critics, check_continuous, new_critics, values_of
from ._math import quantile_huber, td_target
from ._replay import ReplayBatch
from ._role import SOFT, PolicyRole
from ._soft import AbstractSoftActorCritic, Noise, Soft, sampled


@register(name="algorithm.TQC")
@final
class TQC(AbstractSoftActorCritic):
    """Soft actor-critic whose critics give quantiles of the return; the highest of all are left out of the target.

    | symbol | field | source |
    |---|---|---|
    | N | `num_critics` | section 3 |
    | M | `num_quantiles`, of each critic | section 3 |
    | d, so that k = M - d | `num_dropped`, of each critic | section 3 |
    | Z(s', a'), the kN smallest atoms | `targets` | eq. 9, 10 |
    | J_Z | `critic_losses` | eq. 12, 13 |
    | J_pi, over all atoms | `policy_losses` | eq. 14 |
    | alpha, H bar | `temperature`, `target_entropy` | section 2.4 |

    Departure: two critics instead of five, as in sb3-contrib.
    """

    role: ClassVar[PolicyRole] = SOFT
    name: ClassVar[str] = "tqc"

    num_critics: PositiveInt = 2
    num_quantiles: PositiveInt = 25
    num_dropped: NonNegativeInt = 2

    def __check_init__(self) -> None:
        if not 0 <= self.num_dropped < self.num_quantiles:
            raise ValueError(
                f"TQC.num_dropped={self.num_dropped} of num_quantiles={self.num_quantiles} leaves nothing to learn from. "
                "Drop fewer."
            )

    def new_critics(self, policy: AbstractSACPolicy, *, key: Key[Array, ""]) -> Critics:
        check_continuous(self, policy)
        return new_critics(policy, self.num_critics, num_outputs=self.num_quantiles, key=key)

    def targets(self, soft: Soft, batch: ReplayBatch, noise: Noise) -> Float[Array, "batch atoms"]:
        action, log_prob = sampled(soft.policy, batch.after, noise)
        atoms = jnp.concatenate(list(values_of(soft.critics, batch.after, action)), axis=1)  # (batch, N M)
        num_kept = self.num_critics * (self.num_quantiles - self.num_dropped)
        kept = -jax.lax.top_k(-atoms, num_kept)[0]  # the smallest; half the time of a sort

        def one(next_value: Float[Array, " batch"]) -> Float[Array, " batch"]:
            return td_target(batch.reward, next_value, batch.terminated, discount=batch.discount)

        return jax.vmap(one, in_axes=1, out_axes=1)(kept - soft.alpha * log_prob[:, None])

    def critic_losses(
        self, critics: Critics, y: Float[Array, "batch atoms"], batch: ReplayBatch
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        quantiles = values_of(critics, batch.now, batch.action)
        losses = jax.vmap(lambda q: jax.vmap(quantile_huber)(q, y))(quantiles)  # (critics, batch, M)
        return losses.mean((0, 2)), quantiles.mean((0, 2))

    def policy_losses(
        self, soft: Soft, batch: ReplayBatch, noise: Noise
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        action, log_prob = sampled(soft.policy, batch.now, noise)
        return soft.alpha * log_prob - values_of(soft.critics, batch.now, action).mean((0, 2)), -log_prob
