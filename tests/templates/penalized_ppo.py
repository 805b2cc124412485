"""Proximal policy optimisation with a penalty on the KL divergence (Schulman et al. 2017, arXiv:1707.06347, section 4)."""

from typing import ClassVar, final

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from perdure.algorithm import (
    AbstractOnPolicy,
    Evaluation,
    NonNegative,
    Positive,
    PositiveInt,
    RolloutBatch,
    UnitInterval,
)
from perdure.utils import register


@register(name="wren.PenalizedPPO")
@final
class PenalizedPPO(AbstractOnPolicy):
    """Learns from each rollout in several epochs, held back by how far the policy has moved from the one that collected it.

    | symbol | field | source |
    |---|---|---|
    | beta | `penalty`, fixed | eq. 8 |
    """

    name: ClassVar[str] = "penalized-ppo"
    target_kl: ClassVar[None] = None

    learning_rate: Positive = 1e-3
    anneal_timesteps: PositiveInt | None = None
    num_envs: PositiveInt = 4
    num_steps: PositiveInt = 32
    num_epochs: PositiveInt = 4
    num_minibatches: PositiveInt = 2
    discount: UnitInterval = 0.99  # per environment step
    gae_lambda: UnitInterval = 0.95
    penalty: NonNegative = 1.0
    normalize_reward: bool = False

    def optimizer(self) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(0.5), optax.adam(self.learning_rate_schedule()))

    def loss(
        self, new: Evaluation, batch: RolloutBatch, iteration: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        log_ratio = new.log_prob - batch.log_prob
        ratio = jnp.exp(log_ratio)
        kl = (ratio - 1 - log_ratio).mean()
        policy_loss = self.penalty * kl - (ratio * batch.advantage).mean()  # eq. 8
        value_loss = optax.l2_loss(new.value, batch.target).mean()
        return policy_loss + value_loss, {"policy_loss": policy_loss, "value_loss": value_loss, "kl": kl}
