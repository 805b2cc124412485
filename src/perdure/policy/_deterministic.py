"""Deterministic policies (DDPG, TD3): a body and one action, through tanh onto the bounds."""

from typing import Any, ClassVar, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from perdure._core import register
from perdure.network import MLP, Activation, Initialization
from perdure.space import AbstractSpace, Box

from ._abstract_deterministic import AbstractDeterministicPolicy
from ._architecture import NATURE, Architecture, Convolutions, Memory, if_images
from ._base import AbstractStatelessPolicy
from ._body import AbstractBodyPolicy, AbstractMemoryPolicy, Body
from ._spaces import HasSpaces, check_bounded, spaces_of


class AbstractNetworkDeterministicPolicy(AbstractBodyPolicy, AbstractDeterministicPolicy):
    """What every deterministic policy here shares: all but how it is built.

    Observations of every space; actions a Box with finite bounds, which tanh is scaled to.

    Raises: TypeError if the action space is no Box of floats, ValueError if a side of it has no bound.
    """

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

    def actor(self, state: Any, observation: Any) -> tuple[Any, Float[Array, " size"]]:
        state, x = self.body(state, observation)
        return state, self.network(x)


@register
@final
class MLPDeterministicPolicy(AbstractNetworkDeterministicPolicy, AbstractStatelessPolicy):
    """One action from the flattened observation."""

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


@register
@final
class CNNDeterministicPolicy(AbstractNetworkDeterministicPolicy, AbstractStatelessPolicy):
    """One action from images, each through convolutions of its own; all else is flattened beside them.

    `trunk_sizes` are dense layers where the parts meet; `hidden_sizes` those of the head after it.

    Raises: TypeError if the observation has no image (a Box of uint8, 0 to 255, height x width x channels).
    """

    name: ClassVar[str] = "CNNDeterministicPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        convolutions: Convolutions = NATURE,
        trunk_sizes: tuple[int, ...] = (),
        hidden_sizes: tuple[int, ...] = (64,),
        activation: Activation = jax.nn.relu,
        normalize_observation: bool = False,
        initialization: Initialization = "uniform",
        key: Key[Array, ""],
    ):
        architecture = Architecture(
            convolutions=convolutions,
            trunk_sizes=tuple(trunk_sizes),
            activation=activation,
            normalize_observation=normalize_observation,
            initialization=initialization,
        )
        self._build(env, architecture, hidden_sizes=hidden_sizes, activation=activation, key=key)


@register
@final
class RecurrentDeterministicPolicy(AbstractNetworkDeterministicPolicy, AbstractMemoryPolicy):
    """One action from a GRU or LSTM, for what one observation does not tell.

    The cell stands after `trunk_sizes` and before `hidden_sizes`; images go through convolutions first.
    """

    name: ClassVar[str] = "RecurrentDeterministicPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        cell: Literal["gru", "lstm"] = "gru",
        memory_size: int = 128,
        trunk_sizes: tuple[int, ...] = (64,),
        hidden_sizes: tuple[int, ...] = (64,),
        activation: Activation = jax.nn.relu,
        convolutions: Convolutions | None = NATURE,
        normalize_observation: bool = False,
        initialization: Initialization = "uniform",
        key: Key[Array, ""],
    ):
        architecture = Architecture(
            convolutions=if_images(env, convolutions),
            trunk_sizes=tuple(trunk_sizes),
            activation=activation,
            memory=Memory(cell, memory_size),
            normalize_observation=normalize_observation,
            initialization=initialization,
        )
        self._build(env, architecture, hidden_sizes=hidden_sizes, activation=activation, key=key)


@register
@final
class LiquidDeterministicPolicy(AbstractNetworkDeterministicPolicy, AbstractMemoryPolicy):
    """One action from a liquid network, see `perdure.network.Liquid`.

    `num_neurons` inter and command neurons and `num_motor` motor neurons; `hidden_sizes` and a linear layer read the
    motor neurons. Images go through convolutions first.
    """

    name: ClassVar[str] = "LiquidDeterministicPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        num_neurons: int = 32,
        num_motor: int = 16,
        sparsity: float = 0.5,
        trunk_sizes: tuple[int, ...] = (),
        hidden_sizes: tuple[int, ...] = (),
        activation: Activation = jax.nn.relu,
        convolutions: Convolutions | None = NATURE,
        normalize_observation: bool = False,
        initialization: Initialization = "uniform",
        key: Key[Array, ""],
    ):
        architecture = Architecture(
            convolutions=if_images(env, convolutions),
            trunk_sizes=tuple(trunk_sizes),
            activation=activation,
            memory=Memory("liquid", num_neurons, num_motor, sparsity),
            normalize_observation=normalize_observation,
            initialization=initialization,
        )
        self._build(env, architecture, hidden_sizes=hidden_sizes, activation=activation, key=key)
