"""Deep Q-learning (Mnih et al. 2015, doi:10.1038/nature14236) with double targets."""

from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from perdure._core import split_trainable
from perdure.policy import AbstractQPolicy, epsilon_greedy, epsilon_greedy_noise

from ._math import gradient_step, polyak, td_target
from ._off_policy import AbstractLearner, AbstractOffPolicy
from ._rollout import Actor, Transition
from ._settings import check_settings


class DQNLearner(AbstractLearner):
    policy: AbstractQPolicy
    target: PyTree  # parameters of the target network
    optimizer_state: PyTree
    updates: Int[Array, ""]  # gradient steps taken


@final
class DQN(AbstractOffPolicy):
    """Regresses action values on one-step targets from a slowly changing copy of the network.

    | symbol | field | source |
    |---|---|---|
    | N | `capacity` | algorithm 1 |
    | C | `target_interval`, in updates | algorithm 1 |
    | epsilon | `epsilon_start` to `epsilon_end` over `exploration_timesteps` | methods, "training details" |
    | gamma | `discount` | eq. in "algorithm" |
    | r + gamma Q'(s', argmax Q(s')) | `double=True` | van Hasselt et al. 2016, arXiv:1509.06461, eq. 4 |

    Departures from the 2015 paper: double targets by default; the loss is Huber's, whose gradient is the paper's clipped
    error; Adam instead of RMSProp; `num_updates` updates after every `num_steps` steps of each environment.
    """

    policy_kind: ClassVar = (AbstractQPolicy, "a Q policy")

    learning_rate: float = 1e-3
    num_envs: int = 4
    num_steps: int = 4  # of each environment between two rounds of updates
    num_updates: int = 4  # in one round
    batch_size: int = 128
    capacity: int = 50_000  # transitions kept; rounded up to whole rollouts
    learning_starts: int = 1_000  # transitions of uniformly drawn actions before the first update
    discount: float = 0.99  # per environment step
    target_interval: int = 100  # updates between two moves of the target network
    tau: float = 1.0  # how far the target moves: 1 copies
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    exploration_timesteps: int = 10_000  # environment steps from `epsilon_start` to `epsilon_end`
    double: bool = True
    max_gradient_norm: float = 10.0

    def __check_init__(self) -> None:
        check_settings(self)
        if self.learning_starts > self.capacity:
            raise ValueError(
                f"DQN.learning_starts={self.learning_starts} is more than capacity={self.capacity}, so the first transitions "
                "would be lost before learning. Lower learning_starts or raise capacity."
            )

    def optimizer(self) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(self.max_gradient_norm), optax.adam(self.learning_rate))

    def init_learner(self, policy: AbstractQPolicy, *, key: Key[Array, ""]) -> DQNLearner:
        parameters, _ = split_trainable(policy)
        return DQNLearner(policy, parameters, self.optimizer().init(parameters), jnp.zeros((), jnp.int32))

    def epsilon(self, iteration: Int[Array, ""]) -> Float[Array, ""]:
        """The probability of a uniformly drawn action, linear in the environment steps taken."""
        done = (self.steps_before_learning + iteration * self.steps_per_iteration) / self.exploration_timesteps
        return self.epsilon_start + (self.epsilon_end - self.epsilon_start) * jnp.clip(done, 0.0, 1.0)

    def explore(self, learner: DQNLearner, iteration: Int[Array, ""]) -> Actor:
        policy, epsilon = learner.policy, self.epsilon(iteration)

        def act(policy_state: Any, observation: Any, mask: Any, noise: Any) -> tuple[Any, Any, Any, None]:
            policy_state, q_values = policy.q_values(policy_state, observation)
            action = epsilon_greedy(q_values, epsilon, noise, action_mask=mask) + policy.action_space.start
            return policy_state, action, action, None

        return Actor(lambda key: epsilon_greedy_noise(policy.action_space.n, key=key), act)

    def update(
        self, learner: DQNLearner, batch: Transition, iteration: Int[Array, ""], *, key: Key[Array, ""]
    ) -> tuple[DQNLearner, dict[str, Array]]:
        parameters, rest = split_trainable(learner.policy)
        first = learner.policy.action_space.start

        def q_values(parameters: PyTree, observation: PyTree) -> Float[Array, "batch actions"]:
            policy = eqx.combine(parameters, rest)
            return jax.vmap(lambda o: policy.q_values(None, o)[1])(observation)

        def q_of(q_values: Float[Array, "batch actions"], index: Int[Array, " batch"]) -> Float[Array, " batch"]:
            return jnp.take_along_axis(q_values, index[:, None], axis=1)[:, 0]

        next_target = q_values(learner.target, batch.next_observation)
        chooser = q_values(parameters, batch.next_observation) if self.double else next_target
        masked = chooser if batch.next_action_mask is None else jnp.where(batch.next_action_mask, chooser, -jnp.inf)
        y = td_target(batch.reward, q_of(next_target, masked.argmax(1)), batch.terminated, discount=self.discount)

        def loss(parameters: PyTree) -> tuple[Float[Array, ""], Float[Array, ""]]:
            q = q_of(q_values(parameters, batch.observation), batch.action - first)
            return optax.huber_loss(q, y).mean(), q.mean()

        (q_loss, q_mean), gradient = jax.value_and_grad(loss, has_aux=True)(parameters)
        parameters, optimizer_state = gradient_step(self.optimizer(), learner.optimizer_state, parameters, gradient)
        updates = learner.updates + 1
        rate = jnp.where(updates % self.target_interval == 0, self.tau, 0.0)
        target = polyak(learner.target, parameters, rate)
        learner = DQNLearner(eqx.combine(parameters, rest), target, optimizer_state, updates)
        return learner, {"q_loss": q_loss, "q_value": q_mean, "epsilon": self.epsilon(iteration)}
