"""Q-learning from replayed steps, without a target network (Lin 1992, doi:10.1007/BF00992699)."""

from typing import ClassVar, final

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from perdure.algorithm import (
    AbstractLearner,
    AbstractOffPolicy,
    Behavior,
    PolicyRole,
    Q,
    ReplayBatch,
    UnitInterval,
    descend,
    epsilon_greedy_behavior,
    parameters_of,
    td_target,
    value_of,
)
from perdure.policy import AbstractQPolicy
from perdure.utils import register


@register(name="wren.PlainLearner")
class PlainLearner(AbstractLearner):
    policy: AbstractQPolicy
    optimizer_state: PyTree
    critics: None = None


@register(name="wren.PlainQLearning")
@final
class PlainQLearning(AbstractOffPolicy[PlainLearner, AbstractQPolicy]):
    """Regresses the value of what was done on the reward and the best value after it."""

    role: ClassVar[PolicyRole] = Q

    epsilon: UnitInterval = 0.1  # probability of a uniformly drawn action

    def init_learner(self, policy: AbstractQPolicy, *, key: Key[Array, ""]) -> PlainLearner:
        return PlainLearner(policy, self.optimizer().init(parameters_of(policy)))

    def explore(self, learner: PlainLearner, iteration: Int[Array, ""]) -> Behavior:
        return epsilon_greedy_behavior(learner.policy, jnp.asarray(self.epsilon))

    def update(
        self, learner: PlainLearner, batch: ReplayBatch, iteration: Int[Array, ""], *, key: Key[Array, ""]
    ) -> tuple[PlainLearner, dict[str, Array], Float[Array, " batch"]]:
        next_value = batch.after(lambda s, o, _: learner.policy.q_values(s, o)).max(-1)
        y = td_target(batch.reward, next_value, batch.terminated, discount=batch.discount)

        def loss(policy: AbstractQPolicy) -> tuple[Float[Array, ""], Float[Array, " batch"]]:
            q = value_of(batch.now(lambda s, o, _: policy.q_values(s, o)), batch.action)
            return batch.mean(jnp.square(q - y)), q - y

        policy, state, error = descend(self.optimizer(), learner.optimizer_state, learner.policy, loss)
        return PlainLearner(policy, state), {"q_loss": jnp.square(error).mean()}, error
