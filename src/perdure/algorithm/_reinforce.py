"""REINFORCE with a learned baseline (Williams 1992, doi:10.1007/BF00992696)."""

from typing import ClassVar, final

import optax
from jaxtyping import Array, Float, Int

from perdure._core import NonNegative, Positive, PositiveInt, UnitInterval, register

from ._evaluate import Evaluation, RolloutBatch
from ._math import clip_by_global_norm, normalize, policy_gradient_loss
from ._on_policy import AbstractOnPolicy


@register(name="algorithm.REINFORCE")
@final
class REINFORCE(AbstractOnPolicy):
    """One gradient step on whole returns: what followed an action, less what was expected.

    | symbol | field | source |
    |---|---|---|
    | alpha | `learning_rate` | eq. 11 |
    | r - b | advantage: the return less the critic's value | section 4, eq. 8 |
    | gamma | `discount` | Sutton & Barto 2018, section 13.4 |
    | episodes of one update | about `num_envs * num_steps / length` | section 5, "episodic" |

    Departures: updates are made every `num_steps` steps and not at the end of every episode, so that the loop is that of
    all on-policy algorithms; the return of an episode under way is completed by the value of where it stands, as at a
    time limit. The factor gamma^t of Sutton & Barto's algorithm is left out, as everywhere in practice (Thomas 2014,
    "Bias in natural actor-critic algorithms"). Adam instead of plain gradient ascent, and advantages of unit deviation,
    so that one learning rate suits rewards of any size.
    """

    name: ClassVar = "reinforce"

    num_epochs: ClassVar[int] = 1
    num_minibatches: ClassVar[int] = 1
    target_kl: ClassVar[None] = None
    gae_lambda: ClassVar[float] = 1.0  # whole returns

    learning_rate: Positive = 3e-3
    anneal_timesteps: PositiveInt | None = None  # environment steps over which the learning rate falls linearly to zero
    num_envs: PositiveInt = 8
    num_steps: PositiveInt = 128  # of each environment, in one rollout
    discount: UnitInterval = 0.99  # per environment step
    value_weight: NonNegative = 0.5
    max_gradient_norm: Positive = 0.5  # of all gradients together
    normalize_advantage: bool = True  # within a rollout
    normalize_reward: bool = False  # by the running deviation of the discounted return

    def optimizer(self) -> optax.GradientTransformation:
        adam = optax.adam(self.learning_rate_schedule())
        return optax.chain(clip_by_global_norm(self.max_gradient_norm), adam)

    def loss(
        self, new: Evaluation, batch: RolloutBatch, iteration: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        advantage = normalize(batch.advantage) if self.normalize_advantage else batch.advantage
        policy_loss = policy_gradient_loss(new.log_prob, advantage)
        value_loss = optax.l2_loss(new.value, batch.target).mean()
        metrics = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": new.entropy.mean()}
        return policy_loss + self.value_weight * value_loss, metrics
