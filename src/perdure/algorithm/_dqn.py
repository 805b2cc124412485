"""Deep Q-learning (Mnih et al. 2015, doi:10.1038/nature14236) with double targets."""

from typing import ClassVar, final

import optax
from jaxtyping import Array, Float

from perdure._core import register
from perdure.policy import AbstractQPolicy

from ._math import best_action, td_target, value_of
from ._q_learning import AbstractQLearning
from ._replay import ReplayBatch
from ._role import PolicyRole, Q


@register(name="algorithm.DQN")
@final
class DQN(AbstractQLearning[AbstractQPolicy]):
    """Regresses action values on targets from a slowly changing copy of the network.

    | symbol | field | source |
    |---|---|---|
    | N | `capacity` | algorithm 1 |
    | C | `target_interval`, in updates | algorithm 1 |
    | epsilon | `epsilon_start` to `epsilon_end` over `exploration_timesteps` | methods, "training details" |
    | gamma | `discount` | eq. in "algorithm" |
    | r + gamma Q'(s', argmax Q(s')) | `double=True` | van Hasselt et al. 2016, arXiv:1509.06461, eq. 4 |
    | n | `n_step` | Hessel et al. 2018, arXiv:1710.02298 |
    | alpha, beta | `priority_exponent`, `importance_exponent` | Schaul et al. 2016, arXiv:1511.05952 |

    Departures from the 2015 paper: double targets by default; the loss is Huber's, whose gradient is the paper's clipped
    error; Adam instead of RMSProp; `num_updates` updates after every `num_steps` steps of each environment.
    """

    role: ClassVar[PolicyRole] = Q
    name: ClassVar[str] = "dqn"

    double: bool = True  # the target's action is chosen by the network and valued by its copy

    def targets(self, policy: AbstractQPolicy, target: AbstractQPolicy, batch: ReplayBatch) -> Float[Array, " batch"]:
        next_q = batch.after(lambda s, o, _: target.q_values(s, o))
        chooser = batch.after(lambda s, o, _: policy.q_values(s, o)) if self.double else next_q
        next_value = value_of(next_q, best_action(chooser, batch.next_action_mask))
        return td_target(batch.reward, next_value, batch.terminated, discount=batch.discount)

    def losses(
        self, policy: AbstractQPolicy, y: Float[Array, " batch"], batch: ReplayBatch
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        q = value_of(batch.now(lambda s, o, _: policy.q_values(s, o)), batch.action)
        return optax.huber_loss(q, y), q
