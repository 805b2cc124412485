"""Policies made of multi-layer perceptrons, for any observation space (flattened)."""

from typing import Any, ClassVar, Protocol, final, runtime_checkable

import equinox as eqx
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key

from perdure._core import register
from perdure.distribution import AbstractDistribution
from perdure.network import MLP, Activation, Initialization
from perdure.space import AbstractSpace, Discrete

from ._base import AbstractActorCriticPolicy, AbstractQPolicy, AbstractStatelessPolicy
from ._head import ActionHead
from ._observation import Normalizer, features


@runtime_checkable
class HasSpaces(Protocol):
    """Anything with an observation space and an action space: an environment, or just a record of the two."""

    @property
    def observation_space(self) -> Any: ...
    @property
    def action_space(self) -> Any: ...


def spaces_of(env: HasSpaces) -> tuple[AbstractSpace, AbstractSpace]:
    """The spaces of `env`, checked to be ours.

    Raises: TypeError naming what was found.
    """
    for name in ("observation_space", "action_space"):
        space = getattr(env, name, None)
        if not isinstance(space, AbstractSpace):
            raise TypeError(
                f"env.{name} is {type(space).__name__}, not a Perdure space. `env` may be anything with observation_space "
                "and action_space; convert Gymnasium's with perdure.space.from_gymnasium."
            )
    return env.observation_space, env.action_space


@register
@final
class MLPActorCriticPolicy(AbstractActorCriticPolicy, AbstractStatelessPolicy):
    """An actor and a critic on the flattened observation, apart or on a shared trunk.

    Observations of every space; actions Discrete, Box, MultiDiscrete or MultiBinary (see `ActionHead`). With
    `normalize_observation` a running normaliser stands before the networks and is saved and exported with them.
    `squash` maps a Box of actions through tanh onto its bounds instead of clipping.

    Initialisation: orthogonal, gain sqrt(2) in hidden layers, 0.01 for the actor's last and 1 for the critic's last
    (Andrychowicz et al. 2020, arXiv:2006.05990, section 3.2).
    """

    name: ClassVar[str] = "MLPActorCriticPolicy"

    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: AbstractSpace = eqx.field(static=True)
    normalizer: Normalizer | None
    trunk: MLP | None
    actor: MLP
    critic: MLP
    head: ActionHead

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
        self.observation_space, self.action_space = spaces_of(env)
        key_trunk, key_actor, key_critic = jr.split(key, 3)
        size, hidden_sizes = self.observation_space.flat_size, tuple(hidden_sizes)
        self.normalizer = Normalizer(size) if normalize_observation else None
        self.head = ActionHead(self.action_space, squash=squash, initial_log_std=initial_log_std)
        self.trunk, branch_sizes = None, hidden_sizes
        if shared:
            if not hidden_sizes:
                raise ValueError("shared=True needs at least one hidden layer to share, but hidden_sizes is empty.")
            self.trunk = MLP(
                size,
                hidden_sizes[-1],
                hidden_sizes[:-1],
                activation,
                final_activation=activation,
                initialization=initialization,
                final_gain=2**0.5,
                key=key_trunk,
            )
            size, branch_sizes = hidden_sizes[-1], ()
        outputs = self.head.num_outputs
        self.actor = MLP(
            size, outputs, branch_sizes, activation, initialization=initialization, final_gain=0.01, key=key_actor
        )
        self.critic = MLP(size, 1, branch_sizes, activation, initialization=initialization, key=key_critic)

    def evaluate(
        self, state: None, observation: Any, action_mask: Bool[Array, " choices"] | None = None
    ) -> tuple[None, AbstractDistribution, Float[Array, ""]]:
        x = features(self.observation_space, observation)
        x = x if self.normalizer is None else self.normalizer(x)
        x = x if self.trunk is None else self.trunk(x)
        return None, self.head.distribution(self.actor(x), action_mask), self.critic(x)[0]

    def environment_action(self, raw_action: Any) -> Array:
        return self.head.environment_action(raw_action)


@register
@final
class MLPQPolicy(AbstractQPolicy, AbstractStatelessPolicy):
    """Action values from the flattened observation; actions must be Discrete.

    `epsilon` is the exploration of a call with a key; algorithms explore by their own schedule.

    Raises: TypeError if the action space is not Discrete, ValueError if epsilon is outside [0, 1].
    """

    name: ClassVar[str] = "MLPQPolicy"

    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: Discrete = eqx.field(static=True)
    epsilon: float = eqx.field(static=True)
    normalizer: Normalizer | None
    network: MLP

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
        self.observation_space, action_space = spaces_of(env)
        if not isinstance(action_space, Discrete):
            raise TypeError(f"action_space is {action_space}, but a Q policy needs Discrete actions. Use an actor-critic policy.")
        if not 0 <= epsilon <= 1:
            raise ValueError(f"MLPQPolicy.epsilon = {epsilon}, but it is a probability. Choose a number in [0, 1].")
        self.action_space, self.epsilon = action_space, float(epsilon)
        size = self.observation_space.flat_size
        self.normalizer = Normalizer(size) if normalize_observation else None
        self.network = MLP(size, action_space.n, tuple(hidden_sizes), activation, initialization=initialization, key=key)

    def q_values(self, state: None, observation: Any) -> tuple[None, Float[Array, " actions"]]:
        x = features(self.observation_space, observation)
        return None, self.network(x if self.normalizer is None else self.normalizer(x))
