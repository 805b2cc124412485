"""What Q-learning algorithms share: exploring epsilon-greedily, and a target network that moves at intervals."""

from abc import abstractmethod
from typing import Generic, TypeVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from perdure._core import Positive, PositiveInt, UnitInterval, register
from perdure.policy import AbstractQPolicy

from ._explore import epsilon_greedy_behavior, linear
from ._math import apart, descend, parameters_of, polyak, with_parameters
from ._off_policy import AbstractLearner, AbstractOffPolicy
from ._replay import ReplayBatch
from ._rollout import Behavior

Policy = TypeVar("Policy", bound=AbstractQPolicy)


@register(name="algorithm.QLearner")
class QLearner(AbstractLearner, Generic[Policy]):
    policy: Policy
    target: PyTree
    optimizer_state: PyTree
    updates: Int[Array, ""]  # gradient steps taken
    critics: None = None


class AbstractQLearning(AbstractOffPolicy[QLearner[Policy], Policy], Generic[Policy]):
    """Subclasses are targets and a loss."""

    learning_rate: Positive = 1e-3
    num_envs: PositiveInt = 4
    num_steps: PositiveInt = 4
    num_updates: PositiveInt = 4
    batch_size: PositiveInt = 128
    capacity: PositiveInt = 50_000
    tau: UnitInterval = 1.0
    max_gradient_norm: Positive | None = 10.0
    target_interval: PositiveInt = 100  # updates between two moves of the target network
    epsilon_start: UnitInterval = 1.0  # probability of a uniformly drawn action
    epsilon_end: UnitInterval = 0.05
    exploration_timesteps: PositiveInt = 10_000  # environment steps from `epsilon_start` to `epsilon_end`

    @abstractmethod
    def targets(self, policy: Policy, target: Policy, batch: ReplayBatch) -> Float[Array, "batch *more"]:
        """What the values of the actions taken should be; `target` is the policy with the target network."""

    @abstractmethod
    def losses(
        self, policy: Policy, y: Float[Array, "batch *more"], batch: ReplayBatch
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """How far off each step's value is, as a loss, and that value."""

    def __check_init__(self) -> None:
        if self.critic_learning_rate is not None:
            raise ValueError(
                f"{type(self).__name__}.critic_learning_rate = {self.critic_learning_rate}, but the policy is its own critic. "
                "Set learning_rate."
            )

    def init_learner(self, policy: Policy, *, key: Key[Array, ""]) -> QLearner[Policy]:
        parameters = parameters_of(policy)
        return QLearner(policy, parameters, self.optimizer().init(parameters), jnp.zeros((), jnp.int32))

    def epsilon(self, iteration: Int[Array, ""]) -> Float[Array, ""]:
        """Linear in the environment steps taken."""
        fraction = self.fraction_of(self.exploration_timesteps, iteration)
        return linear(self.epsilon_start, self.epsilon_end, fraction)

    def explore(self, learner: QLearner[Policy], iteration: Int[Array, ""]) -> Behavior:
        return epsilon_greedy_behavior(learner.policy, self.epsilon(iteration))

    def update(
        self, learner: QLearner[Policy], batch: ReplayBatch, iteration: Int[Array, ""], *, key: Key[Array, ""]
    ) -> tuple[QLearner[Policy], dict[str, Array], Float[Array, " batch"]]:
        slow = with_parameters(learner.policy, learner.target)
        y = apart(lambda: self.targets(learner.policy, slow, batch), iteration)

        def loss(policy: Policy) -> tuple[Float[Array, ""], tuple[Array, Array]]:
            losses, q = self.losses(policy, y, batch)
            return batch.mean(losses), (batch.mean(losses), q)

        policy, optimizer_state, (q_loss, q) = descend(self.optimizer(), learner.optimizer_state, learner.policy, loss)
        updates = learner.updates + 1
        rate = jnp.where(updates % self.target_interval == 0, self.tau, 0.0)
        learner = QLearner(policy, polyak(learner.target, parameters_of(policy), rate), optimizer_state, updates)
        metrics = {"q_loss": q_loss, "q_value": q.mean(), "epsilon": self.epsilon(iteration)}
        return learner, metrics, q - y.reshape(y.shape[0], -1).mean(1)
