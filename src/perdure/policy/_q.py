"""Q policies: a body and the value of each action, or quantiles of its return."""

from typing import Any, ClassVar, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from perdure._core import register
from perdure.network import MLP, Activation, Initialization
from perdure.space import AbstractSpace, Discrete

from ._abstract_q import AbstractQPolicy
from ._architecture import NATURE, Architecture, Convolutions, Memory, if_images
from ._base import AbstractStatelessPolicy
from ._body import AbstractBodyPolicy, AbstractMemoryPolicy, Body
from ._spaces import HasSpaces, spaces_of


class AbstractActionValuePolicy(AbstractBodyPolicy):
    """What every Q policy shares: a body, and a network with one or more numbers for each action.

    With `dueling` they are a value of the state plus what each action has over the mean of all actions.
    `epsilon` is the exploration of a call with a key; algorithms explore by their own schedule.

    Source of `dueling`: Wang et al. 2016, arXiv:1511.06581, eq. 9.

    Raises: TypeError if the action space is not Discrete, ValueError if epsilon is outside [0, 1].
    """

    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: Discrete = eqx.field(static=True)
    epsilon: float = eqx.field(static=True)
    body: Body
    network: MLP
    state_value: MLP | None

    def _build(
        self,
        env: HasSpaces,
        architecture: Architecture,
        *,
        hidden_sizes: tuple[int, ...],
        activation: Activation,
        dueling: bool,
        epsilon: float,
        outputs_per_action: int = 1,
        key: Key[Array, ""],
    ) -> None:
        key_body, key_network, key_value = jr.split(key, 3)
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

        def network(outputs: int, key: Key[Array, ""]) -> MLP:
            sizes, initialization = tuple(hidden_sizes), architecture.initialization
            return MLP(self.body.size, outputs, sizes, activation, initialization=initialization, key=key)

        self.network = network(action_space.n * outputs_per_action, key_network)
        self.state_value = network(outputs_per_action, key_value) if dueling else None

    def action_outputs(self, state: Any, observation: Any) -> tuple[Any, Float[Array, "actions outputs"]]:
        """The next internal state, and the numbers of each action."""
        state, x = self.body(state, observation)
        outputs = self.network(x).reshape(self.action_space.n, -1)
        if self.state_value is not None:
            outputs = self.state_value(x) + outputs - outputs.mean(0)
        return state, outputs


class AbstractNetworkQPolicy(AbstractActionValuePolicy, AbstractQPolicy):
    """What every policy on plain action values shares: all but how it is built."""

    def q_values(self, state: Any, observation: Any) -> tuple[Any, Float[Array, " actions"]]:
        state, outputs = self.action_outputs(state, observation)
        return state, outputs[:, 0]


@register
@final
class MLPQPolicy(AbstractNetworkQPolicy, AbstractStatelessPolicy):
    """Action values from the flattened observation."""

    name: ClassVar[str] = "MLPQPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        hidden_sizes: tuple[int, ...] = (64, 64),
        activation: Activation = jnp.tanh,
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
            dueling=dueling,
            epsilon=epsilon,
            key=key,
        )


@register
@final
class CNNQPolicy(AbstractNetworkQPolicy, AbstractStatelessPolicy):
    """Action values from images, each through convolutions of its own; all else is flattened beside them.

    `trunk_sizes` are dense layers where the parts meet; `hidden_sizes` those of the head after it.

    Raises: TypeError if the observation has no image (a Box of uint8, 0 to 255, height x width x channels).
    """

    name: ClassVar[str] = "CNNQPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        convolutions: Convolutions = NATURE,
        trunk_sizes: tuple[int, ...] = (),
        hidden_sizes: tuple[int, ...] = (64,),
        activation: Activation = jax.nn.relu,
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
            dueling=dueling,
            epsilon=epsilon,
            key=key,
        )


@register
@final
class RecurrentQPolicy(AbstractNetworkQPolicy, AbstractMemoryPolicy):
    """Action values from a GRU or LSTM, for what one observation does not tell.

    The cell stands after `trunk_sizes` and before `hidden_sizes`; images go through convolutions first.
    """

    name: ClassVar[str] = "RecurrentQPolicy"

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
            dueling=dueling,
            epsilon=epsilon,
            key=key,
        )


@register
@final
class LiquidQPolicy(AbstractNetworkQPolicy, AbstractMemoryPolicy):
    """Action values from a liquid network, see `perdure.network.Liquid`.

    `num_neurons` inter and command neurons and `num_motor` motor neurons; `hidden_sizes` and a linear layer read the
    motor neurons. Images go through convolutions first.
    """

    name: ClassVar[str] = "LiquidQPolicy"

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
            dueling=dueling,
            epsilon=epsilon,
            key=key,
        )
