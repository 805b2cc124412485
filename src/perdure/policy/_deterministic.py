"""Deterministic policies (DDPG, TD3): a body and one action, through tanh onto the bounds."""

from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from perdure._core import register
from perdure.network import MLP, Activation, Initialization
from perdure.space import AbstractSpace, Box

from ._abstract_deterministic import AbstractDeterministicPolicy
from ._base import AbstractStatelessPolicy
from ._body import Architecture, Body
from ._observation import Normalizer
from ._spaces import HasSpaces, check_bounded, spaces_of


class AbstractNetworkDeterministicPolicy(AbstractDeterministicPolicy):
    """What every deterministic policy here shares: all but how it is built."""

    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: Box = eqx.field(static=True)
    body: Body
    network: MLP

    def _build(
        self,
        env: HasSpaces,
        architecture: Architecture,
        *,
        hidden_sizes: tuple[int, ...],
        activation: Activation,
        key: Key[Array, ""],
    ) -> None:
        key_body, key_network = jr.split(key)
        self.observation_space, action_space = spaces_of(env)
        self.action_space = check_bounded(action_space, type(self).__name__)
        self.body = Body(self.observation_space, architecture, key=key_body)
        self.network = MLP(
            self.body.size,
            action_space.flat_size,
            tuple(hidden_sizes),
            activation,
            final_activation=jnp.tanh,
            initialization=architecture.initialization,
            final_gain=0.01,
            key=key_network,
        )

    @property
    def normalizer(self) -> Normalizer | None:
        return self.body.normalizer

    def actor(self, state: Any, observation: Any) -> tuple[Any, Float[Array, " size"]]:
        state, x = self.body(state, observation)
        return state, self.network(x)


@register
@final
class MLPDeterministicPolicy(AbstractNetworkDeterministicPolicy, AbstractStatelessPolicy):
    """One action from the flattened observation; actions must be a Box with finite bounds.

    Raises: TypeError if the action space is no Box of floats, ValueError if a side of it has no bound.
    """

    name: ClassVar[str] = "MLPDeterministicPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        hidden_sizes: tuple[int, ...] = (256, 256),
        activation: Activation = jax.nn.relu,
        normalize_observation: bool = False,
        initialization: Initialization = "uniform",
        key: Key[Array, ""],
    ):
        architecture = Architecture(normalize_observation=normalize_observation, initialization=initialization)
        self._build(env, architecture, hidden_sizes=hidden_sizes, activation=activation, key=key)
