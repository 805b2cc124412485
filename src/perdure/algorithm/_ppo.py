"""Proximal policy optimisation with the clipped surrogate (Schulman et al. 2017, arXiv:1707.06347)."""

import math
from typing import ClassVar, final

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from perdure._core import NonNegative, Positive, PositiveInt, UnitInterval, register

from ._evaluate import Evaluation, RolloutBatch
from ._math import OptimizerName, flattened, new_optimizer, normalize
from ._on_policy import AbstractOnPolicy
from ._schedule import fraction_of


@register(name="algorithm.PPO")
@final
class PPO(AbstractOnPolicy):
    """Learns from each rollout in several epochs, keeping the new policy near the one that collected it.

    | symbol | field | source |
    |---|---|---|
    | epsilon | `clip` | eq. 7 |
    | c1, c2 | `value_weight`, `entropy_weight` | eq. 9 |
    | N, T, K | `num_envs`, `num_steps`, `num_epochs` | algorithm 1 |
    | M | `num_envs * num_steps / num_minibatches` | algorithm 1 |
    | gamma, lambda | `discount`, `gae_lambda` | eq. 12 |

    Departures from the paper: advantages are normalised within each minibatch and gradients clipped by their global norm,
    as all implementations that reach its results do (Engstrom et al. 2020, arXiv:2005.12729); the value loss is not
    clipped unless `value_clip` is set (Andrychowicz et al. 2020, arXiv:2006.05990: it does not help). With `target_kl`
    the rest of the iteration's updates are left out, where Stable-Baselines3 allows 1.5 times that number.
    """

    name: ClassVar[str] = "ppo"

    learning_rate: Positive = 2.5e-4
    optimizer_name: OptimizerName = "adam"  # adabelief, adam, adamw, lion, nadam, rmsprop or sgd, as optax has them
    anneal_timesteps: PositiveInt | None = None  # environment steps over which the learning rate falls linearly to zero
    num_envs: PositiveInt = 4
    num_steps: PositiveInt = 128  # of each environment, in one rollout
    num_epochs: PositiveInt = 4  # passes over one rollout
    num_minibatches: PositiveInt = 4
    discount: UnitInterval = 0.99  # per environment step
    gae_lambda: UnitInterval = 0.95
    clip: Positive = 0.2  # the probability ratio is kept within [1 - clip, 1 + clip]
    anneal_clip: bool = False  # `clip` falls to zero along with the learning rate
    value_clip: Positive | None = None  # a value may move this far from its old one before its loss counts in full
    value_weight: NonNegative = 0.5
    entropy_weight: NonNegative = 0.01
    max_gradient_norm: Positive = 0.5  # of all gradients together
    normalize_advantage: bool = True  # within each minibatch
    normalize_reward: bool = False  # by the running deviation of the discounted return
    target_kl: Positive | None = (
        None  # an iteration's updates end before the first minibatch with a larger KL divergence
    )

    def __check_init__(self) -> None:
        batch = self.num_envs * self.num_steps
        if batch % self.num_minibatches:
            raise ValueError(
                f"PPO.num_minibatches={self.num_minibatches} does not divide num_envs * num_steps = "
                f"{self.num_envs} * {self.num_steps} = {batch}. "
                f"Try num_minibatches={math.gcd(self.num_minibatches, batch)}."
            )
        if self.anneal_clip and self.anneal_timesteps is None:
            raise ValueError(
                "PPO.anneal_clip = True, but anneal_timesteps = None says nothing of how fast. Set anneal_timesteps to the "
                "environment steps of the whole training."
            )

    def optimizer(self) -> optax.GradientTransformation:
        settings = {"eps": 1e-5} if self.optimizer_name == "adam" else {}
        optimizer = new_optimizer(
            self.optimizer_name, self.learning_rate_schedule(), self.max_gradient_norm, **settings
        )
        return flattened(optimizer)

    def clip_at(self, iteration: Int[Array, ""]) -> float | Float[Array, ""]:
        """`clip`, or what is left of it."""
        if self.anneal_timesteps is None or not self.anneal_clip:
            return self.clip
        done = fraction_of(self.anneal_timesteps, iteration, steps_per_iteration=self.steps_per_iteration)
        return self.clip * jnp.maximum(1 - done, 0.0)

    def loss(
        self, new: Evaluation, batch: RolloutBatch, iteration: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        clip = self.clip_at(iteration)
        log_ratio = new.log_prob - batch.log_prob
        ratio = jnp.exp(log_ratio)
        advantage = normalize(batch.advantage) if self.normalize_advantage else batch.advantage
        clipped = jnp.clip(ratio, 1 - clip, 1 + clip)
        policy_loss = -jnp.minimum(ratio * advantage, clipped * advantage).mean()  # eq. 7
        squared_error = jnp.square(new.value - batch.target)
        if self.value_clip is not None:  # the larger error, so that clipping never hides one
            near = batch.value + jnp.clip(new.value - batch.value, -self.value_clip, self.value_clip)
            squared_error = jnp.maximum(squared_error, jnp.square(near - batch.target))
        value_loss, entropy = 0.5 * squared_error.mean(), new.entropy.mean()
        loss = policy_loss + self.value_weight * value_loss - self.entropy_weight * entropy  # eq. 9
        return loss, {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "approximate_kl": (ratio - 1 - log_ratio).mean(),  # Schulman 2020, joschu.net/blog/kl-approx.html
            "clip_fraction": (jnp.abs(ratio - 1) > clip).mean(),
        }
