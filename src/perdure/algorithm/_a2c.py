"""Advantage actor-critic, synchronous (Mnih et al. 2016, arXiv:1602.01783)."""

from typing import ClassVar, final

import optax
from jaxtyping import Array, Float, Int

from perdure._core import NonNegative, Positive, PositiveInt, UnitInterval, register

from ._evaluate import Evaluation, RolloutBatch
from ._math import clip_by_global_norm, normalize, policy_gradient_loss
from ._on_policy import AbstractOnPolicy


@register(name="algorithm.A2C")
@final
class A2C(AbstractOnPolicy):
    """One gradient step on each short rollout, along the policy gradient with a learned baseline.

    | symbol | field | source |
    |---|---|---|
    | t_max | `num_steps` | algorithm S3 |
    | number of threads | `num_envs` | section 4 |
    | gamma | `discount` | section 3 |
    | beta | `entropy_weight` | section 4.3 |
    | eta, alpha (RMSProp) | `learning_rate`, `rms_decay` | eq. S2, S3 |

    Departures from the paper: environments are stepped together, not in threads, so there is one gradient of all of them
    (Wu et al. 2017, "OpenAI Baselines: ACKTR & A2C"); what keeps RMSProp from dividing by zero is added outside the root;
    `gae_lambda` below 1 weights the n-step advantages of section 3 by Schulman et al. 2016, arXiv:1506.02438, eq. 16; the
    gradient's norm is clipped; no entropy bonus by default.
    """

    name: ClassVar = "a2c"

    num_epochs: ClassVar[int] = 1
    num_minibatches: ClassVar[int] = 1
    target_kl: ClassVar[None] = None

    learning_rate: Positive = 7e-4
    anneal_timesteps: PositiveInt | None = None  # environment steps over which the learning rate falls linearly to zero
    rms_decay: UnitInterval = 0.99  # of the mean square of each gradient
    num_envs: PositiveInt = 8
    num_steps: PositiveInt = 5  # of each environment, in one rollout
    discount: UnitInterval = 0.99  # per environment step
    gae_lambda: UnitInterval = 1.0
    value_weight: NonNegative = 0.5
    entropy_weight: NonNegative = 0.0
    max_gradient_norm: Positive = 0.5  # of all gradients together
    normalize_advantage: bool = False  # within a rollout
    normalize_reward: bool = False  # by the running deviation of the discounted return

    def optimizer(self) -> optax.GradientTransformation:
        schedule = self.learning_rate_schedule()
        rms = optax.rmsprop(schedule, decay=self.rms_decay, eps=1e-5, eps_in_sqrt=False)
        return optax.chain(clip_by_global_norm(self.max_gradient_norm), rms)

    def loss(
        self, new: Evaluation, batch: RolloutBatch, iteration: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        advantage = normalize(batch.advantage) if self.normalize_advantage else batch.advantage
        policy_loss, value_loss = (
            policy_gradient_loss(new.log_prob, advantage),
            optax.l2_loss(new.value, batch.target).mean(),
        )
        entropy = new.entropy.mean()
        loss = policy_loss + self.value_weight * value_loss - self.entropy_weight * entropy
        return loss, {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
