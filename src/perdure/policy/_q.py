"""Q policies: a body and the value of each action, or quantiles of its return."""

from typing import Any, ClassVar, final

import equinox as eqx
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from perdure._core import register
from perdure.network import MLP, Activation, Initialization
from perdure.space import AbstractSpace, Discrete

from ._abstract_q import AbstractQPolicy
from ._base import AbstractStatelessPolicy
from ._body import Architecture, Body
from ._observation import Normalizer
from ._spaces import HasSpaces, spaces_of


class AbstractNetworkQPolicy(AbstractQPolicy):
    """What every Q policy here shares: all but how it is built."""

    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: Discrete = eqx.field(static=True)
    epsilon: float = eqx.field(static=True)
    body: Body
    network: MLP

    def _build(
        self,
        env: HasSpaces,
        architecture: Architecture,
        *,
        hidden_sizes: tuple[int, ...],
        activation: Activation,
        epsilon: float,
        key: Key[Array, ""],
    ) -> None:
        key_body, key_network = jr.split(key)
        self.observation_space, action_space = spaces_of(env)
        if not isinstance(action_space, Discrete):
            raise TypeError(
                f"action_space is {action_space}, but a Q policy needs Discrete actions. Use an actor-critic policy."
            )
        if not 0 <= epsilon <= 1:
            raise ValueError(
                f"{type(self).__name__}.epsilon = {epsilon}, but it is a probability. Choose a number in [0, 1]."
            )
        self.action_space, self.epsilon = action_space, float(epsilon)
        self.body = Body(self.observation_space, architecture, key=key_body)
        self.network = MLP(
            self.body.size,
            action_space.n,
            tuple(hidden_sizes),
            activation,
            initialization=architecture.initialization,
            key=key_network,
        )

    @property
    def normalizer(self) -> Normalizer | None:
        return self.body.normalizer

    def q_values(self, state: Any, observation: Any) -> tuple[Any, Float[Array, " actions"]]:
        state, x = self.body(state, observation)
        return state, self.network(x)


@register
@final
class MLPQPolicy(AbstractNetworkQPolicy, AbstractStatelessPolicy):
    """Action values from the flattened observation; actions must be Discrete.

    `epsilon` is the exploration of a call with a key; algorithms explore by their own schedule.

    Raises: TypeError if the action space is not Discrete, ValueError if epsilon is outside [0, 1].
    """

    name: ClassVar[str] = "MLPQPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        hidden_sizes: tuple[int, ...] = (64, 64),
        activation: Activation = jnp.tanh,
        normalize_observation: bool = False,
        epsilon: float = 0.05,
        initialization: Initialization = "uniform",
        key: Key[Array, ""],
    ):
        architecture = Architecture(
            activation=activation, normalize_observation=normalize_observation, initialization=initialization
        )
        self._build(env, architecture, hidden_sizes=hidden_sizes, activation=activation, epsilon=epsilon, key=key)
