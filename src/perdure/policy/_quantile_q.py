"""Q policies that know the distribution of returns by its quantiles (QR-DQN)."""

from typing import Any, ClassVar, Literal, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from perdure._core import register
from perdure.network import Activation, Initialization

from ._abstract_q import AbstractQuantileQPolicy
from ._architecture import NATURE, Architecture, Convolutions, Memory, if_images
from ._base import AbstractStatelessPolicy
from ._body import AbstractMemoryPolicy
from ._q import AbstractActionValuePolicy
from ._spaces import HasSpaces


class AbstractNetworkQuantileQPolicy(AbstractActionValuePolicy, AbstractQuantileQPolicy):
    """What every policy on quantiles shares: all but how it is built.

    Source: Dabney et al. 2018, arXiv:1710.10044.
    """

    def quantiles(self, state: Any, observation: Any) -> tuple[Any, Float[Array, "actions quantiles"]]:
        return self.action_outputs(state, observation)


@register
@final
class MLPQuantileQPolicy(AbstractNetworkQuantileQPolicy, AbstractStatelessPolicy):
    """Quantiles of each action's return from the flattened observation."""

    name: ClassVar[str] = "MLPQuantileQPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        hidden_sizes: tuple[int, ...] = (64, 64),
        activation: Activation = jnp.tanh,
        num_quantiles: int = 50,
        dueling: bool = False,
        epsilon: float = 0.05,
        normalize_observation: bool = False,
        initialization: Initialization = "uniform",
        key: Key[Array, ""],
    ):
        architecture = Architecture(normalize_observation=normalize_observation, initialization=initialization)
        self._build(
            env,
            architecture,
            hidden_sizes=hidden_sizes,
            activation=activation,
            outputs_per_action=num_quantiles,
            dueling=dueling,
            epsilon=epsilon,
            key=key,
        )


@register
@final
class CNNQuantileQPolicy(AbstractNetworkQuantileQPolicy, AbstractStatelessPolicy):
    """Quantiles of each action's return from images, each of which goes through convolutions of its own.

    All else of the observation is flattened beside them. `trunk_sizes` are dense layers where the parts meet;
    `hidden_sizes` those of the head after it.

    Raises: TypeError if the observation has no image (a Box of uint8, 0 to 255, height x width x channels).
    """

    name: ClassVar[str] = "CNNQuantileQPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        convolutions: Convolutions = NATURE,
        trunk_sizes: tuple[int, ...] = (),
        hidden_sizes: tuple[int, ...] = (64,),
        activation: Activation = jax.nn.relu,
        num_quantiles: int = 50,
        dueling: bool = False,
        epsilon: float = 0.05,
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
        self._build(
            env,
            architecture,
            hidden_sizes=hidden_sizes,
            activation=activation,
            outputs_per_action=num_quantiles,
            dueling=dueling,
            epsilon=epsilon,
            key=key,
        )


@register
@final
class RecurrentQuantileQPolicy(AbstractNetworkQuantileQPolicy, AbstractMemoryPolicy):
    """Quantiles of each action's return from a GRU or LSTM, for what one observation does not tell.

    The cell stands after `trunk_sizes` and before `hidden_sizes`; images go through convolutions first.
    """

    name: ClassVar[str] = "RecurrentQuantileQPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        cell: Literal["gru", "lstm"] = "gru",
        memory_size: int = 128,
        trunk_sizes: tuple[int, ...] = (64,),
        hidden_sizes: tuple[int, ...] = (64,),
        activation: Activation = jnp.tanh,
        convolutions: Convolutions | None = NATURE,
        num_quantiles: int = 50,
        dueling: bool = False,
        epsilon: float = 0.05,
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
        self._build(
            env,
            architecture,
            hidden_sizes=hidden_sizes,
            activation=activation,
            outputs_per_action=num_quantiles,
            dueling=dueling,
            epsilon=epsilon,
            key=key,
        )


@register
@final
class LiquidQuantileQPolicy(AbstractNetworkQuantileQPolicy, AbstractMemoryPolicy):
    """Quantiles of each action's return from a liquid network, see `perdure.network.Liquid`.

    `num_neurons` inter and command neurons and `num_motor` motor neurons; `hidden_sizes` and a linear layer read the
    motor neurons. Images go through convolutions first.
    """

    name: ClassVar[str] = "LiquidQuantileQPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        num_neurons: int = 32,
        num_motor: int = 16,
        sparsity: float = 0.5,
        trunk_sizes: tuple[int, ...] = (),
        hidden_sizes: tuple[int, ...] = (),
        activation: Activation = jnp.tanh,
        convolutions: Convolutions | None = NATURE,
        num_quantiles: int = 50,
        dueling: bool = False,
        epsilon: float = 0.05,
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
        self._build(
            env,
            architecture,
            hidden_sizes=hidden_sizes,
            activation=activation,
            outputs_per_action=num_quantiles,
            dueling=dueling,
            epsilon=epsilon,
            key=key,
        )
