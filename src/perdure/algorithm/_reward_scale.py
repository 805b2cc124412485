"""Rewards on a common scale, whatever the environment's own units."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from perdure._core import register
from perdure.policy import Normalizer


@register(name="algorithm.RewardScale")
@final
class RewardScale(eqx.Module):
    """Divides rewards by the running deviation of the discounted return; their mean is left alone.

    As Gymnasium's `NormalizeReward`, with one variance for all environments: `s <- s * discount * (1 - terminated) + r`,
    then `r / sqrt(var(s) + epsilon)`. The sum runs on through a truncation. The statistics are part of the training state,
    not of the policy: they say nothing about how to act. Logged returns stay the environment's own.

    Source: Engstrom et al. 2020, arXiv:2005.12729, section 3 and appendix A.2.
    """

    statistics: Normalizer  # of the discounted sums
    discounted_sum: Float[Array, " num_envs"]

    def __init__(self, num_envs: int):
        self.statistics, self.discounted_sum = Normalizer(1), jnp.zeros(num_envs)

    def update(
        self, reward: Float[Array, "time num_envs"], terminated: Bool[Array, "time num_envs"], *, discount: float
    ) -> "RewardScale":
        """With the rewards of a rollout taken in."""

        def step(total: Array, x: tuple[Array, Array]) -> tuple[Array, Array]:
            reward, terminated = x
            total = jnp.where(terminated, 0.0, total * discount) + reward
            return total, total

        last, sums = jax.lax.scan(step, self.discounted_sum, (reward, terminated))
        statistics = self.statistics.update(sums.reshape(-1, 1))
        return eqx.tree_at(lambda r: (r.statistics, r.discounted_sum), self, (statistics, last))

    def __call__(self, reward: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        return reward / jnp.sqrt(self.statistics.variance[0] + self.statistics.epsilon)
