"""Proximal policy optimisation with the clipped surrogate (Schulman et al. 2017, arXiv:1707.06347)."""

import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from perdure.policy import AbstractActorCriticPolicy

from ._on_policy import AbstractOnPolicy, Batch
from ._settings import check_settings


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
    clipped unless `value_clip` is set (Andrychowicz et al. 2020, arXiv:2006.05990: it does not help).
    """

    learning_rate: float = 2.5e-4
    anneal_timesteps: int | None = None  # environment steps over which the learning rate falls linearly to zero
    num_envs: int = 4
    num_steps: int = 128  # of each environment, in one rollout
    num_epochs: int = 4  # passes over one rollout
    num_minibatches: int = 4
    discount: float = 0.99  # per environment step
    gae_lambda: float = 0.95
    clip: float = 0.2  # the probability ratio is kept within [1 - clip, 1 + clip]
    value_clip: float | None = None  # a value may move this far from its old one before its loss counts in full
    value_weight: float = 0.5
    entropy_weight: float = 0.01
    max_gradient_norm: float = 0.5  # of all gradients together
    normalize_advantage: bool = True  # within each minibatch

    def __check_init__(self) -> None:
        check_settings(self)
        batch = self.num_envs * self.num_steps
        if batch % self.num_minibatches:
            raise ValueError(
                f"PPO.num_minibatches={self.num_minibatches} does not divide num_envs * num_steps = "
                f"{self.num_envs} * {self.num_steps} = {batch}. "
                f"Try num_minibatches={math.gcd(self.num_minibatches, batch)}."
            )

    def optimizer(self) -> optax.GradientTransformation:
        learning_rate: float | optax.Schedule = self.learning_rate
        if self.anneal_timesteps is not None:
            updates = self.anneal_timesteps // self.steps_per_iteration * self.num_epochs * self.num_minibatches
            learning_rate = optax.linear_schedule(self.learning_rate, 0.0, max(updates, 1))
        return optax.chain(
            optax.clip_by_global_norm(self.max_gradient_norm), optax.adam(learning_rate, eps=1e-5)
        )

    def loss(self, policy: AbstractActorCriticPolicy, batch: Batch) -> tuple[Float[Array, ""], dict[str, Array]]:
        def evaluate(observation, action, mask):  # type: ignore[no-untyped-def]
            return policy.evaluate_action(None, observation, action, action_mask=mask)[1:]

        value, log_prob, entropy = jax.vmap(evaluate)(batch.observation, batch.action, batch.action_mask)
        log_ratio = log_prob - batch.log_prob
        ratio = jnp.exp(log_ratio)
        advantage = batch.advantage
        if self.normalize_advantage:
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        clipped = jnp.clip(ratio, 1 - self.clip, 1 + self.clip)
        policy_loss = -jnp.minimum(ratio * advantage, clipped * advantage).mean()  # eq. 7
        squared_error = jnp.square(value - batch.target)
        if self.value_clip is not None:  # the larger error, so that clipping never hides one
            near = batch.value + jnp.clip(value - batch.value, -self.value_clip, self.value_clip)
            squared_error = jnp.maximum(squared_error, jnp.square(near - batch.target))
        value_loss = 0.5 * squared_error.mean()
        loss = policy_loss + self.value_weight * value_loss - self.entropy_weight * entropy.mean()  # eq. 9
        return loss, {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy.mean(),
            "approximate_kl": (ratio - 1 - log_ratio).mean(),  # Schulman 2020, joschu.net/blog/kl-approx.html
            "clip_fraction": (jnp.abs(ratio - 1) > self.clip).mean(),
        }
