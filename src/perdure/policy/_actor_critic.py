"""Actor-critic policies: a body, an actor and a critic on its features, and a head for the space of actions."""

from typing import Any, ClassVar, final

import equinox as eqx
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key

from perdure._core import register
from perdure.distribution import AbstractDistribution
from perdure.network import MLP, Activation, Initialization
from perdure.space import AbstractSpace

from ._abstract_stochastic import AbstractActorCriticPolicy
from ._base import AbstractStatelessPolicy
from ._body import Architecture, Body
from ._head import ActionHead
from ._observation import Normalizer
from ._spaces import HasSpaces, spaces_of


class AbstractNetworkActorCriticPolicy(AbstractActorCriticPolicy):
    """What every actor-critic policy here shares: all but how it is built.

    Initialisation: orthogonal, gain sqrt(2) in hidden layers, 0.01 for the actor's last and 1 for the critic's last
    (Andrychowicz et al. 2020, arXiv:2006.05990, section 3.2).
    """

    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: AbstractSpace = eqx.field(static=True)
    body: Body
    actor: MLP
    critic: MLP
    head: ActionHead

    def _build(
        self,
        env: HasSpaces,
        architecture: Architecture,
        *,
        hidden_sizes: tuple[int, ...],
        activation: Activation,
        squash: bool,
        initial_log_std: float,
        key: Key[Array, ""],
    ) -> None:
        key_body, key_actor, key_critic = jr.split(key, 3)
        self.observation_space, self.action_space = spaces_of(env)
        self.body = Body(self.observation_space, architecture, key=key_body)
        self.head = ActionHead(self.action_space, squash=squash, initial_log_std=initial_log_std)

        def network(outputs: int, final_gain: float, key: Key[Array, ""]) -> MLP:
            settings = {"initialization": architecture.initialization, "final_gain": final_gain, "key": key}
            return MLP(self.body.size, outputs, tuple(hidden_sizes), activation, **settings)

        self.actor = network(self.head.num_outputs, 0.01, key_actor)
        self.critic = network(1, 1.0, key_critic)

    @property
    def normalizer(self) -> Normalizer | None:
        return self.body.normalizer

    def evaluate(
        self, state: Any, observation: Any, action_mask: Bool[Array, " choices"] | None = None
    ) -> tuple[Any, AbstractDistribution, Float[Array, ""]]:
        state, x = self.body(state, observation)
        return state, self.head.distribution(self.actor(x), action_mask), self.critic(x)[0]

    def environment_action(self, raw_action: Any) -> Array:
        return self.head.environment_action(raw_action)


@register
@final
class MLPActorCriticPolicy(AbstractNetworkActorCriticPolicy, AbstractStatelessPolicy):
    """An actor and a critic on the flattened observation, apart or on a shared trunk.

    Observations of every space; actions Discrete, Box, MultiDiscrete or MultiBinary (see `ActionHead`). With
    `normalize_observation` a running normaliser stands before the networks and is saved and exported with them.
    `squash` maps a Box of actions through tanh onto its bounds instead of clipping.
    """

    name: ClassVar[str] = "MLPActorCriticPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        hidden_sizes: tuple[int, ...] = (64, 64),
        activation: Activation = jnp.tanh,
        shared: bool = False,
        normalize_observation: bool = False,
        squash: bool = False,
        initial_log_std: float = 0.0,
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
        self._build(
            env,
            architecture,
            hidden_sizes=() if shared else tuple(hidden_sizes),
            activation=activation,
            squash=squash,
            initial_log_std=initial_log_std,
            key=key,
        )
