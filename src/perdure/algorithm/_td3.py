"""Twin delayed deterministic policy gradient (Fujimoto et al. 2018, arXiv:1802.09477)."""

from typing import ClassVar, final

import jax
import jax.numpy as jnp
import optax
from jax import random as jr
from jaxtyping import Array, Float, Int, Key, PyTree

from perdure._core import NonNegative, Positive, PositiveInt, register, renamed
from perdure.policy import AbstractDeterministicPolicy

from ._critics import Critics, DeterministicLearner, new_critics, values_of
from ._explore import noisy_behavior
from ._math import apart, descend, parameters_of, polyak, td_target, with_parameters
from ._off_policy import AbstractOffPolicy
from ._replay import ReplayBatch
from ._role import DETERMINISTIC, PolicyRole
from ._rollout import Behavior


@register(name="algorithm.TD3", upgrades=[renamed(noise="exploration_noise")])
@final
class TD3(AbstractOffPolicy[DeterministicLearner, AbstractDeterministicPolicy]):
    """Deterministic policy gradients, with three remedies against values that are too high.

    | symbol | field | source |
    |---|---|---|
    | min over theta_1, theta_2 | two critics, `values_of(...).min(0)` | eq. 10 |
    | epsilon ~ clip(N(0, sigma~), -c, c) | `target_noise`, `target_noise_clip` | eq. 14 |
    | d | `policy_delay` | algorithm 1 |
    | sigma | `exploration_noise` | algorithm 1 |
    | tau, gamma | `tau`, `discount` | algorithm 1 |

    Departures: actions are normalised to [-1, 1], and so are all kinds of noise. Between two delayed updates the metric
    `policy_loss` is zero.
    """

    role: ClassVar[PolicyRole] = DETERMINISTIC
    name: ClassVar[str] = "td3"

    learning_rate: Positive = 1e-3
    exploration_noise: NonNegative = 0.1  # standard deviation while exploring
    target_noise: NonNegative = 0.2  # standard deviation of what blurs the target's action
    target_noise_clip: NonNegative = 0.5
    policy_delay: PositiveInt = 2  # updates of the critics to one of the policy and of all targets

    def optimizer(self) -> optax.GradientTransformation:
        return self.new_optimizer(self.learning_rate, delay=self.policy_delay)

    def init_learner(self, policy: AbstractDeterministicPolicy, *, key: Key[Array, ""]) -> DeterministicLearner:
        critics = new_critics(policy, 2, key=key)
        return DeterministicLearner.start(policy, critics, self.optimizer(), self.critic_optimizer())

    def explore(self, learner: DeterministicLearner, iteration: Int[Array, ""]) -> Behavior:
        return noisy_behavior(learner.policy, self.exploration_noise)

    def target_action(
        self, policy_target: AbstractDeterministicPolicy, batch: ReplayBatch, *, key: Key[Array, ""]
    ) -> Array:
        """The target's next action, blurred (eq. 14)."""
        action = batch.after(lambda s, o, _: policy_target.normalized_action(s, o))
        blur = self.target_noise * jr.normal(key, action.shape)
        return jnp.clip(action + jnp.clip(blur, -self.target_noise_clip, self.target_noise_clip), -1.0, 1.0)

    def update(
        self, learner: DeterministicLearner, batch: ReplayBatch, iteration: Int[Array, ""], *, key: Key[Array, ""]
    ) -> tuple[DeterministicLearner, dict[str, Array], Float[Array, " batch"]]:
        next_action = self.target_action(with_parameters(learner.policy, learner.policy_target), batch, key=key)
        critics_target = with_parameters(learner.critics, learner.critics_target)
        next_value = values_of(critics_target, batch.after, next_action)[:, :, 0].min(0)  # pessimism over the twins
        y = apart(lambda: td_target(batch.reward, next_value, batch.terminated, discount=batch.discount), iteration)

        def critic_loss(critics: Critics) -> tuple[Float[Array, ""], Float[Array, "2 batch"]]:
            q = values_of(critics, batch.now, batch.action)[:, :, 0]
            return batch.mean(jnp.square(q - y).sum(0)), q

        critics, critics_optimizer, q = descend(
            self.critic_optimizer(), learner.critics_optimizer, learner.critics, critic_loss
        )
        updates = learner.updates + 1
        slow = learner.policy_target, learner.critics_target, parameters_of(learner.policy), learner.policy_optimizer
        slow, loss = jax.lax.cond(
            updates % self.policy_delay == 0,
            lambda: self.delayed_update(learner, critics, batch),
            lambda: (slow, jnp.zeros(())),
        )
        policy_target, critics_target, parameters, policy_optimizer = slow
        policy = with_parameters(learner.policy, parameters)
        learner = DeterministicLearner(
            policy, critics, policy_target, critics_target, policy_optimizer, critics_optimizer, updates
        )
        metrics = {"q_loss": batch.mean(jnp.square(q - y).sum(0)), "q_value": q.mean(), "policy_loss": loss}
        return learner, metrics, (q - y).mean(0)

    def delayed_update(
        self, learner: DeterministicLearner, critics: Critics, batch: ReplayBatch
    ) -> tuple[tuple[PyTree, PyTree, PyTree, PyTree], Float[Array, ""]]:
        """Both targets, the policy's parameters and its optimiser, after a step up the first critic; the loss."""

        def policy_loss(policy: AbstractDeterministicPolicy) -> tuple[Float[Array, ""], Float[Array, ""]]:
            action = batch.now(lambda s, o, _: policy.normalized_action(s, o))
            loss = -batch.mean(values_of(critics[:1], batch.now, action)[0, :, 0])
            return loss, loss

        policy, policy_optimizer, loss = descend(
            self.optimizer(), learner.policy_optimizer, learner.policy, policy_loss
        )
        parameters = parameters_of(policy)
        policy_target = polyak(learner.policy_target, parameters, self.tau)
        critics_target = polyak(learner.critics_target, parameters_of(critics), self.tau)
        return (policy_target, critics_target, parameters, policy_optimizer), loss
