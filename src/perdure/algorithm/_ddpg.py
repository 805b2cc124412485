"""Deep deterministic policy gradient (Lillicrap et al. 2016, arXiv:1509.02971)."""

from typing import ClassVar, final

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from perdure._core import NonNegative, Positive, register, renamed
from perdure.policy import AbstractDeterministicPolicy

from ._critics import Critics, DeterministicLearner, new_critics, values_of
from ._explore import noisy_behavior
from ._math import apart, descend, parameters_of, polyak, td_target, with_parameters
from ._off_policy import AbstractOffPolicy
from ._replay import ReplayBatch
from ._role import DETERMINISTIC, PolicyRole
from ._rollout import Behavior


@register(name="algorithm.DDPG", upgrades=[renamed(noise="exploration_noise")])
@final
class DDPG(AbstractOffPolicy[DeterministicLearner, AbstractDeterministicPolicy]):
    """A critic learns what actions are worth; a deterministic actor follows its gradient.

    | symbol | field | source |
    |---|---|---|
    | N, the exploration noise | `exploration_noise` | eq. 7 |
    | R, N | `capacity`, `batch_size` | algorithm 1 |
    | y_i | `y` in `update` | algorithm 1 |
    | gamma, tau | `discount`, `tau` | algorithm 1 |
    | Q', mu' | `critics_target`, `policy_target` | section 3 |

    Departures from the paper: noise is independent from step to step, which does as well as the Ornstein-Uhlenbeck process
    (Fujimoto et al. 2018, arXiv:1802.09477, section 6.1); one learning rate, no weight decay, and the action enters the
    critic at its first layer, as in Stable-Baselines3.
    """

    role: ClassVar[PolicyRole] = DETERMINISTIC
    name: ClassVar[str] = "ddpg"

    learning_rate: Positive = 1e-3
    exploration_noise: NonNegative = 0.1  # standard deviation while exploring, of actions normalised to [-1, 1]

    def init_learner(self, policy: AbstractDeterministicPolicy, *, key: Key[Array, ""]) -> DeterministicLearner:
        critics = new_critics(policy, 1, key=key)
        return DeterministicLearner.start(policy, critics, self.optimizer(), self.critic_optimizer())

    def explore(self, learner: DeterministicLearner, iteration: Int[Array, ""]) -> Behavior:
        return noisy_behavior(learner.policy, self.exploration_noise)

    def update(
        self, learner: DeterministicLearner, batch: ReplayBatch, iteration: Int[Array, ""], *, key: Key[Array, ""]
    ) -> tuple[DeterministicLearner, dict[str, Array], Float[Array, " batch"]]:
        policy_target = with_parameters(learner.policy, learner.policy_target)
        critics_target = with_parameters(learner.critics, learner.critics_target)
        next_action = batch.after(lambda s, o, _: policy_target.normalized_action(s, o))
        next_value = values_of(critics_target, batch.after, next_action)[0, :, 0]
        y = apart(lambda: td_target(batch.reward, next_value, batch.terminated, discount=batch.discount), iteration)

        def critic_loss(critics: Critics) -> tuple[Float[Array, ""], Float[Array, " batch"]]:
            q = values_of(critics, batch.now, batch.action)[0, :, 0]
            return batch.mean(jnp.square(q - y)), q

        critics, critics_optimizer, q = descend(
            self.critic_optimizer(), learner.critics_optimizer, learner.critics, critic_loss
        )

        def policy_loss(policy: AbstractDeterministicPolicy) -> tuple[Float[Array, ""], Float[Array, ""]]:
            action = batch.now(lambda s, o, _: policy.normalized_action(s, o))
            loss = -batch.mean(values_of(critics[:1], batch.now, action)[0, :, 0])
            return loss, loss

        policy, policy_optimizer, loss = descend(
            self.optimizer(), learner.policy_optimizer, learner.policy, policy_loss
        )
        learner = DeterministicLearner(
            policy,
            critics,
            polyak(learner.policy_target, parameters_of(policy), self.tau),
            polyak(learner.critics_target, parameters_of(critics), self.tau),
            policy_optimizer,
            critics_optimizer,
            learner.updates + 1,
        )
        return learner, {"q_loss": batch.mean(jnp.square(q - y)), "q_value": q.mean(), "policy_loss": loss}, q - y
