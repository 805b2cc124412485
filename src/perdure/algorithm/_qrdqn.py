"""Q-learning of whole return distributions by quantile regression (Dabney et al. 2018, arXiv:1710.10044)."""

from typing import ClassVar, final

import jax
from jaxtyping import Array, Float

from perdure._core import register
from perdure.policy import AbstractQuantileQPolicy

from ._math import best_action, quantile_huber, td_target, value_of
from ._q_learning import AbstractQLearning
from ._replay import ReplayBatch
from ._role import QUANTILE_Q, PolicyRole


@register(name="algorithm.QRDQN")
@final
class QRDQN(AbstractQLearning[AbstractQuantileQPolicy]):
    """Learns quantiles of the return of each action, and acts on their mean.

    | symbol | field | source |
    |---|---|---|
    | N | number of quantiles that the policy gives | section 4 |
    | theta | `policy.quantiles` | eq. 7 |
    | T theta_j = r + gamma theta_j(s', a*) | `targets` | algorithm 1 |
    | rho, the quantile Huber loss with kappa = 1 | `quantile_huber` | eq. 9, 10 |
    | epsilon, C | `epsilon_start` to `epsilon_end`, `target_interval` | section 6 |

    The loss of one step is the sum over the quantiles of their mean loss against all targets, as in algorithm 1.
    Departure: updates a step and the schedule of epsilon are those of `DQN`, so that the two compare.
    """

    role: ClassVar[PolicyRole] = QUANTILE_Q
    name: ClassVar[str] = "qrdqn"

    def targets(
        self, policy: AbstractQuantileQPolicy, target: AbstractQuantileQPolicy, batch: ReplayBatch
    ) -> Float[Array, "batch quantiles"]:
        next_quantiles = batch.after(lambda s, o, _: target.quantiles(s, o))  # (batch, actions, quantiles)
        best = best_action(next_quantiles.mean(-1), batch.next_action_mask)

        def one(next_value: Float[Array, " batch"]) -> Float[Array, " batch"]:
            return td_target(batch.reward, next_value, batch.terminated, discount=batch.discount)

        return jax.vmap(one, in_axes=1, out_axes=1)(value_of(next_quantiles, best))

    def losses(
        self, policy: AbstractQuantileQPolicy, y: Float[Array, "batch quantiles"], batch: ReplayBatch
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        quantiles = value_of(batch.now(lambda s, o, _: policy.quantiles(s, o)), batch.action)
        return jax.vmap(quantile_huber)(quantiles, y).sum(-1), quantiles.mean(-1)
