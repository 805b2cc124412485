"""Actors of soft actor-critic: a body and a distribution whose spread depends on the observation."""

from typing import Any, ClassVar, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key

from perdure._core import register
from perdure.distribution import AbstractDistribution, Categorical, SquashedNormal, StateDependentNormal
from perdure.network import MLP, Activation, Bounded, Initialization
from perdure.space import AbstractSpace, Box, Discrete

from ._abstract_stochastic import AbstractSACPolicy
from ._architecture import NATURE, Architecture, Convolutions, Memory, check_gsde, if_images
from ._base import AbstractStatelessPolicy
from ._body import AbstractBodyPolicy, AbstractMemoryPolicy, Body
from ._head import initial_spread
from ._spaces import HasSpaces, check_bounded, rescaled, spaces_of

LOG_STD = (-20.0, 2.0)  # bounds of the natural logarithm of the standard deviation
MEAN = 2.0  # bound of the means with gSDE, before tanh


class AbstractNetworkSACPolicy(AbstractBodyPolicy, AbstractSACPolicy):
    """What every soft actor here shares: all but how it is built.

    For a Box the network gives the means, then the logarithms of the standard deviations, which are clipped to
    [-20, 2]; for Discrete it gives logits. With `gsde_interval` a Box is explored by gSDE (see `StateDependentNormal`)
    on what the last layer sees, which the noise trains too: the network gives means alone, clipped to [-2, 2] so that tanh
    keeps a slope, and `log_std` is learned. One draw is held for that many steps (see `held_noise`).

    Source: Haarnoja et al. 2018, arXiv:1812.05905, appendix C, and the authors' code for the bounds; those of the means and
    the gradient of the noise from Stable-Baselines3, whose authors are those of gSDE (`clip_mean`, `learn_features=True`);
    for discrete actions Christodoulou 2019, arXiv:1910.07207.

    Raises: TypeError for another action space, ValueError if a side of the Box has no bound, or for gSDE without a Box.
    """

    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: Box | Discrete = eqx.field(static=True)
    body: Body
    network: MLP
    log_std: Float[Array, "features size"] | None  # of gSDE, natural logarithm
    gsde_interval: int | None = eqx.field(static=True)

    def _build(
        self,
        env: HasSpaces,
        architecture: Architecture,
        *,
        hidden_sizes: tuple[int, ...],
        activation: Activation,
        initial_log_std: float,
        gsde_interval: int | None,
        key: Key[Array, ""],
    ) -> None:
        check_gsde(gsde_interval)
        key_body, key_network = jr.split(key)
        self.observation_space, action_space = spaces_of(env)
        self.body = Body(self.observation_space, architecture, key=key_body)
        self.gsde_interval, self.log_std = gsde_interval, None
        if isinstance(action_space, Discrete) and gsde_interval is None:
            self.action_space, outputs = action_space, action_space.n
        else:
            self.action_space = check_bounded(action_space, type(self).__name__)
            outputs = action_space.flat_size if gsde_interval is not None else 2 * action_space.flat_size
        if gsde_interval is not None:
            noise_features = hidden_sizes[-1] if hidden_sizes else self.body.size
            self.log_std = initial_spread(action_space.flat_size, initial_log_std, noise_features)
        self.network = MLP(
            self.body.size,
            outputs,
            tuple(hidden_sizes),
            activation,
            final_activation=Bounded(-MEAN, MEAN) if gsde_interval is not None else jax.nn.identity,
            initialization=architecture.initialization,
            final_gain=0.01,
            key=key_network,
        )

    def evaluate(
        self, state: Any, observation: Any, action_mask: Bool[Array, " choices"] | None = None
    ) -> tuple[Any, AbstractDistribution]:
        state, x = self.body(state, observation)
        features = self.network.hidden(x)
        outputs = self.network.last(features)
        if isinstance(self.action_space, Discrete):
            return state, Categorical(outputs, action_mask)
        if action_mask is not None:
            raise ValueError(
                f"action_mask given, but action_space is {self.action_space}, which has no choices to bar."
            )
        if self.log_std is not None:
            return state, StateDependentNormal(outputs, features, self.log_std, squash=True)
        mean, log_std = jnp.split(outputs, 2)
        return state, SquashedNormal(mean, jnp.clip(log_std, *LOG_STD))

    def environment_action(self, raw_action: Any) -> Array:
        if isinstance(self.action_space, Discrete):
            return raw_action + self.action_space.start if self.action_space.start else raw_action
        return rescaled(self.action_space, jnp.tanh(raw_action))


@register
@final
class MLPSACPolicy(AbstractNetworkSACPolicy, AbstractStatelessPolicy):
    """A soft actor on the flattened observation."""

    name: ClassVar[str] = "MLPSACPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        hidden_sizes: tuple[int, ...] = (256, 256),
        activation: Activation = jax.nn.relu,
        initial_log_std: float = 0.0,
        gsde_interval: int | None = None,
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
            initial_log_std=initial_log_std,
            gsde_interval=gsde_interval,
            key=key,
        )


@register
@final
class CNNSACPolicy(AbstractNetworkSACPolicy, AbstractStatelessPolicy):
    """A soft actor on images, each through convolutions of its own; all else is flattened beside them.

    `trunk_sizes` are dense layers where the parts meet; `hidden_sizes` those of the head after it.

    Raises: TypeError if the observation has no image (a Box of uint8, 0 to 255, height x width x channels).
    """

    name: ClassVar[str] = "CNNSACPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        convolutions: Convolutions = NATURE,
        trunk_sizes: tuple[int, ...] = (),
        hidden_sizes: tuple[int, ...] = (64,),
        activation: Activation = jax.nn.relu,
        initial_log_std: float = 0.0,
        gsde_interval: int | None = None,
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
            initial_log_std=initial_log_std,
            gsde_interval=gsde_interval,
            key=key,
        )


@register
@final
class RecurrentSACPolicy(AbstractNetworkSACPolicy, AbstractMemoryPolicy):
    """A soft actor on a GRU or LSTM, for what one observation does not tell.

    The cell stands after `trunk_sizes` and before `hidden_sizes`; images go through convolutions first.
    """

    name: ClassVar[str] = "RecurrentSACPolicy"

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
        initial_log_std: float = 0.0,
        gsde_interval: int | None = None,
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
            initial_log_std=initial_log_std,
            gsde_interval=gsde_interval,
            key=key,
        )


@register
@final
class LiquidSACPolicy(AbstractNetworkSACPolicy, AbstractMemoryPolicy):
    """A soft actor on a liquid network, see `perdure.network.Liquid`.

    `num_neurons` inter and command neurons and `num_motor` motor neurons; `hidden_sizes` and a linear layer read the
    motor neurons. Images go through convolutions first.
    """

    name: ClassVar[str] = "LiquidSACPolicy"

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
        initial_log_std: float = 0.0,
        gsde_interval: int | None = None,
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
            initial_log_std=initial_log_std,
            gsde_interval=gsde_interval,
            key=key,
        )
