"""What maximum-entropy algorithms share: one update of critics, policy and temperature."""

from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from perdure._core import Finite, Positive, register
from perdure.policy import AbstractSACPolicy

from ._critics import Critics
from ._explore import sampling_behavior
from ._math import apart, descend, gradient_step, parameters_of, polyak, with_parameters
from ._off_policy import AbstractLearner, AbstractOffPolicy
from ._replay import ReplayBatch
from ._rollout import Behavior


@register(name="algorithm.SoftLearner")
class SoftLearner(AbstractLearner):
    policy: AbstractSACPolicy
    critics: Critics
    critics_target: PyTree
    policy_optimizer: PyTree
    critics_optimizer: PyTree
    log_temperature: Float[Array, ""]
    temperature_optimizer: PyTree


Noise = Float[Array, "batch ..."]


class Soft(NamedTuple):
    """What targets and losses are made of."""

    policy: AbstractSACPolicy
    critics: Critics
    alpha: Float[Array, ""]


def sampled(
    policy: AbstractSACPolicy, look: Callable[..., PyTree], noise: Noise
) -> tuple[Float[Array, "batch size"], Float[Array, " batch"]]:
    """A normalised action for each step, and its log-probability; `look` is `batch.now` or `batch.after`.

    Gradients flow through both (Haarnoja et al. 2018, arXiv:1812.05905, eq. 8). With gSDE no noise is held over these steps,
    so each action has its own, and only as much as it needs.
    """
    distribution = jax.vmap(lambda d: d.marginal())(look(policy.distribution))
    raw_action = jax.vmap(lambda d, n: d.from_noise(n))(distribution, noise)
    return policy.normalized_action(raw_action), jax.vmap(lambda d, u: d.log_prob(u))(distribution, raw_action)


class AbstractSoftActorCritic(AbstractOffPolicy[SoftLearner, AbstractSACPolicy]):
    """Subclasses say what critics there are, what they regress on, and what the policy makes of them."""

    temperature: Positive | None = None  # alpha, the worth of one nat of entropy; None: learned, beginning at 1
    target_entropy: Finite | None = (
        None  # in nats, what a learned temperature holds the entropy at; None: as the source
    )

    @abstractmethod
    def new_critics(self, policy: AbstractSACPolicy, *, key: Key[Array, ""]) -> Critics:
        """The critics."""

    def usual_target_entropy(self, policy: AbstractSACPolicy) -> float:
        """The target entropy of the source: minus the number of action entries (arXiv:1812.05905, table 1)."""
        return -float(policy.action_space.flat_size)

    @abstractmethod
    def targets(self, soft: Soft, batch: ReplayBatch, noise: Noise) -> Float[Array, "batch *more"]:
        """What the critics should say; `soft.critics` are the target ones."""

    @abstractmethod
    def critic_losses(
        self, critics: Critics, y: Float[Array, "batch *more"], batch: ReplayBatch
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """How far off the critics are at each step, as a loss, and their mean value."""

    @abstractmethod
    def policy_losses(
        self, soft: Soft, batch: ReplayBatch, noise: Noise
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """What the policy descends at each step, and its entropy there (or an estimate)."""

    def init_learner(self, policy: AbstractSACPolicy, *, key: Key[Array, ""]) -> SoftLearner:
        critics = self.new_critics(policy, key=key)
        parameters, target = parameters_of(policy), parameters_of(critics)
        log_temperature = jnp.log(jnp.float32(1.0 if self.temperature is None else self.temperature))
        policy_optimizer, temperature_optimizer = (self.optimizer().init(x) for x in (parameters, log_temperature))
        critics_optimizer = self.critic_optimizer().init(target)
        return SoftLearner(
            policy, critics, target, policy_optimizer, critics_optimizer, log_temperature, temperature_optimizer
        )

    def explore(self, learner: SoftLearner, iteration: Int[Array, ""]) -> Behavior:
        return sampling_behavior(learner.policy)

    def temperature_step(
        self, learner: SoftLearner, batch: ReplayBatch, entropy: Float[Array, " batch"]
    ) -> tuple[Float[Array, ""], PyTree]:
        """The temperature rises where the policy is less random than it should be (arXiv:1812.05905, eq. 18).

        As in the authors' code the gradient is that of log alpha times the difference, not of alpha.
        """
        if self.temperature is not None:
            return learner.log_temperature, learner.temperature_optimizer
        wanted = self.usual_target_entropy(learner.policy) if self.target_entropy is None else self.target_entropy
        gradient = batch.mean(entropy - wanted)
        return gradient_step(self.optimizer(), learner.temperature_optimizer, learner.log_temperature, gradient)

    def update(
        self, learner: SoftLearner, batch: ReplayBatch, iteration: Int[Array, ""], *, key: Key[Array, ""]
    ) -> tuple[SoftLearner, dict[str, Array], Float[Array, " batch"]]:
        # both at once: half the time
        noise_target, noise_policy = learner.policy.noise((2, batch.reward.size), is_marginal=True, key=key)
        alpha, optimizer = jnp.exp(learner.log_temperature), self.optimizer()
        slow = Soft(learner.policy, with_parameters(learner.critics, learner.critics_target), alpha)
        y = apart(lambda: self.targets(slow, batch, noise_target), iteration)

        def critic_loss(critics: Critics) -> tuple[Float[Array, ""], tuple[Array, Array]]:
            losses, q = self.critic_losses(critics, y, batch)
            return batch.mean(losses), (batch.mean(losses), q)

        critics, critics_optimizer, (q_loss, q) = descend(
            self.critic_optimizer(), learner.critics_optimizer, learner.critics, critic_loss
        )

        def policy_loss(policy: AbstractSACPolicy) -> tuple[Float[Array, ""], tuple[Array, Array]]:
            losses, entropy = self.policy_losses(Soft(policy, critics, alpha), batch, noise_policy)
            return batch.mean(losses), (batch.mean(losses), entropy)

        policy, policy_optimizer, (loss, entropy) = descend(
            optimizer, learner.policy_optimizer, learner.policy, policy_loss
        )
        temperature = self.temperature_step(learner, batch, entropy)
        target = polyak(learner.critics_target, parameters_of(critics), self.tau)
        learner = SoftLearner(policy, critics, target, policy_optimizer, critics_optimizer, *temperature)
        names = ("q_loss", "q_value", "policy_loss", "entropy", "temperature")
        metrics = dict(zip(names, (q_loss, q.mean(), loss, batch.mean(entropy), alpha), strict=True))
        return learner, metrics, q - y.reshape(y.shape[0], -1).mean(1)
