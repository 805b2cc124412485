"""Actor-critic policies: a body, an actor and a critic on its features, and a head for the space of actions."""

from typing import Any, ClassVar, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key

from perdure._core import register
from perdure.distribution import AbstractDistribution
from perdure.network import MLP, Activation, Initialization
from perdure.space import AbstractSpace

from ._abstract_stochastic import AbstractActorCriticPolicy
from ._architecture import NATURE, Architecture, Convolutions, Memory, check_gsde, if_images
from ._base import AbstractStatelessPolicy
from ._body import AbstractBodyPolicy, AbstractMemoryPolicy, Body
from ._head import ActionHead
from ._spaces import HasSpaces, spaces_of


class AbstractNetworkActorCriticPolicy(AbstractBodyPolicy, AbstractActorCriticPolicy):
    """What every actor-critic policy here shares: all but how it is built.

    Observations of every space; actions Discrete, Box, MultiDiscrete or MultiBinary (see `ActionHead`). `squash` maps a
    Box of actions through tanh onto its bounds instead of clipping. With `normalize_observation` a running normaliser
    stands before the networks and is saved and exported with them. With `gsde_interval` a Box is explored by gSDE (see
    `StateDependentNormal`) on what the actor's last layer sees, one draw being held for that many steps (see
    `held_noise`); as in the authors' code, the noise does not train those features.

    Initialisation: orthogonal, gain sqrt(2) in hidden layers, 0.01 for the actor's last and 1 for the critic's last
    (Andrychowicz et al. 2020, arXiv:2006.05990, section 3.2).
    """

    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: AbstractSpace = eqx.field(static=True)
    body: Body
    actor: MLP
    critic: MLP
    head: ActionHead
    gsde_interval: int | None = eqx.field(static=True)

    def _build(
        self,
        env: HasSpaces,
        architecture: Architecture,
        *,
        hidden_sizes: tuple[int, ...],
        activation: Activation,
        squash: bool,
        initial_log_std: float,
        gsde_interval: int | None,
        key: Key[Array, ""],
    ) -> None:
        check_gsde(gsde_interval)
        key_body, key_actor, key_critic = jr.split(key, 3)
        self.observation_space, self.action_space = spaces_of(env)
        self.body = Body(self.observation_space, architecture, key=key_body)
        memory = architecture.memory
        size = self.body.size // (1 if memory is None else memory.count)
        noise_features = (hidden_sizes[-1] if hidden_sizes else size) if gsde_interval is not None else None
        self.head = ActionHead(
            self.action_space, squash=squash, initial_log_std=initial_log_std, noise_features=noise_features
        )
        self.gsde_interval = gsde_interval

        def network(outputs: int, final_gain: float, key: Key[Array, ""]) -> MLP:
            sizes, initialization = tuple(hidden_sizes), architecture.initialization
            return MLP(size, outputs, sizes, activation, initialization=initialization, final_gain=final_gain, key=key)

        self.actor = network(self.head.num_outputs, 0.01, key_actor)
        self.critic = network(1, 1.0, key_critic)

    def evaluate(
        self, state: Any, observation: Any, action_mask: Bool[Array, " choices"] | None = None
    ) -> tuple[Any, AbstractDistribution, Float[Array, ""]]:
        state, x = self.body(state, observation)
        memory = self.body.architecture.memory
        actor_x, critic_x = (x, x) if memory is None or memory.count == 1 else jnp.split(x, 2)
        features = self.actor.hidden(actor_x)
        distribution = self.head.distribution(self.actor.last(features), action_mask, jax.lax.stop_gradient(features))
        return state, distribution, self.critic(critic_x)[0]

    def environment_action(self, raw_action: Any) -> Array:
        return self.head.environment_action(raw_action)


@register
@final
class MLPActorCriticPolicy(AbstractNetworkActorCriticPolicy, AbstractStatelessPolicy):
    """An actor and a critic on the flattened observation, apart or (`shared`) with the same hidden layers."""

    name: ClassVar[str] = "MLPActorCriticPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        hidden_sizes: tuple[int, ...] = (64, 64),
        activation: Activation = jnp.tanh,
        shared: bool = False,
        squash: bool = False,
        initial_log_std: float = 0.0,
        gsde_interval: int | None = None,
        normalize_observation: bool = False,
        initialization: Initialization = "orthogonal",
        key: Key[Array, ""],
    ):
        if shared and not hidden_sizes:
            raise ValueError("shared=True needs at least one hidden layer to share, but hidden_sizes is empty.")
        architecture = Architecture(
            trunk_sizes=tuple(hidden_sizes) if shared else (),
            activation=activation,
            normalize_observation=normalize_observation,
            initialization=initialization,
        )
        hidden_sizes = () if shared else hidden_sizes
        self._build(
            env,
            architecture,
            hidden_sizes=hidden_sizes,
            activation=activation,
            squash=squash,
            initial_log_std=initial_log_std,
            gsde_interval=gsde_interval,
            key=key,
        )


@register
@final
class CNNActorCriticPolicy(AbstractNetworkActorCriticPolicy, AbstractStatelessPolicy):
    """An actor and a critic on images, each through convolutions of its own; all else is flattened beside them.

    `trunk_sizes` are dense layers where the parts meet; `hidden_sizes` those of the heads after it.

    Raises: TypeError if the observation has no image (a Box of uint8, 0 to 255, height x width x channels).
    """

    name: ClassVar[str] = "CNNActorCriticPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        convolutions: Convolutions = NATURE,
        trunk_sizes: tuple[int, ...] = (),
        hidden_sizes: tuple[int, ...] = (64,),
        activation: Activation = jax.nn.relu,
        squash: bool = False,
        initial_log_std: float = 0.0,
        gsde_interval: int | None = None,
        normalize_observation: bool = False,
        initialization: Initialization = "orthogonal",
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
            squash=squash,
            initial_log_std=initial_log_std,
            gsde_interval=gsde_interval,
            key=key,
        )


@register
@final
class RecurrentActorCriticPolicy(AbstractNetworkActorCriticPolicy, AbstractMemoryPolicy):
    """An actor and a critic on a GRU or LSTM, for what one observation does not tell.

    The cell stands after `trunk_sizes` and before `hidden_sizes`; images go through convolutions first. With
    `separate_critic` the critic has a memory of its own.
    """

    name: ClassVar[str] = "RecurrentActorCriticPolicy"

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
        separate_critic: bool = False,
        squash: bool = False,
        initial_log_std: float = 0.0,
        gsde_interval: int | None = None,
        normalize_observation: bool = False,
        initialization: Initialization = "orthogonal",
        key: Key[Array, ""],
    ):
        architecture = Architecture(
            convolutions=if_images(env, convolutions),
            trunk_sizes=tuple(trunk_sizes),
            activation=activation,
            memory=Memory(cell, memory_size, count=1 + separate_critic),
            normalize_observation=normalize_observation,
            initialization=initialization,
        )
        self._build(
            env,
            architecture,
            hidden_sizes=hidden_sizes,
            activation=activation,
            squash=squash,
            initial_log_std=initial_log_std,
            gsde_interval=gsde_interval,
            key=key,
        )


@register
@final
class LiquidActorCriticPolicy(AbstractNetworkActorCriticPolicy, AbstractMemoryPolicy):
    """An actor and a critic on a liquid network, see `perdure.network.Liquid`.

    `num_neurons` inter and command neurons and `num_motor` motor neurons; `hidden_sizes` and a linear layer read the
    motor neurons. Images go through convolutions first. With `separate_critic` the
    critic has a memory of its own.
    """

    name: ClassVar[str] = "LiquidActorCriticPolicy"

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
        separate_critic: bool = False,
        squash: bool = False,
        initial_log_std: float = 0.0,
        gsde_interval: int | None = None,
        normalize_observation: bool = False,
        initialization: Initialization = "orthogonal",
        key: Key[Array, ""],
    ):
        architecture = Architecture(
            convolutions=if_images(env, convolutions),
            trunk_sizes=tuple(trunk_sizes),
            activation=activation,
            memory=Memory("liquid", num_neurons, num_motor, sparsity, count=1 + separate_critic),
            normalize_observation=normalize_observation,
            initialization=initialization,
        )
        self._build(
            env,
            architecture,
            hidden_sizes=hidden_sizes,
            activation=activation,
            squash=squash,
            initial_log_std=initial_log_std,
            gsde_interval=gsde_interval,
            key=key,
        )
