"""Actor-critic policies: a body, an actor and a critic on its features, and a head for the space of actions."""

from typing import TYPE_CHECKING, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key

from perdure._core import Action, Observation, register
from perdure.distribution import AbstractDistribution
from perdure.network import MLP
from perdure.space import AbstractSpace

from ._abstract_stochastic import AbstractActorCriticPolicy
from ._base import AbstractPolicyState, AbstractStatefulPolicy, AbstractStatelessPolicy
from ._body import AbstractBody
from ._body_policy import AbstractBodyPolicy, check_reads
from ._body_records import FLAT, AbstractBodyRecord, Layers
from ._frozen import Frozen
from ._head import ActionHead, check_gsde
from ._role import OnCNN, OnLiquid, OnMLP, OnRecurrent, Role, assembled
from ._separate_bodies import SeparateBodies
from ._spaces import HasSpaces, spaces_of


class AbstractNetworkActorCriticPolicy(AbstractBodyPolicy, AbstractActorCriticPolicy):
    """An actor and a critic on the features of one body; see `ActorCriticPolicy`, which makes them.

    Both take all features of the body, or the actor the first and the critic the rest: those of two memories or two bodies.

    Raises: ValueError for parts that do not fit together, or a `gsde_interval` that is no number of steps.
    """

    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: AbstractSpace = eqx.field(static=True)
    body: AbstractBody | Frozen
    actor: MLP | Frozen
    critic: MLP | Frozen
    head: ActionHead | Frozen
    gsde_interval: int | None = eqx.field(static=True)

    def __check_init__(self) -> None:
        check_gsde(self.gsde_interval)
        split = self._is_split
        check_reads("actor", self.actor, self.actor.in_size if split else self.body.size, self.head.num_outputs)
        check_reads("critic", self.critic, self.critic.in_size if split else self.body.size, 1)

    @property
    def _is_split(self) -> bool:
        return self.actor.in_size + self.critic.in_size == self.body.size

    def evaluate(
        self,
        policy_state: AbstractPolicyState | None,
        observation: Observation,
        action_mask: Bool[Array, " choices"] | None = None,
    ) -> tuple[AbstractPolicyState | None, AbstractDistribution, Float[Array, ""]]:
        policy_state, x = self.body(policy_state, observation)
        actor_x, critic_x = jnp.split(x, (self.actor.in_size,)) if self._is_split else (x, x)
        features = self.actor.hidden(actor_x)
        distribution = self.head.distribution(self.actor.last(features), action_mask, jax.lax.stop_gradient(features))
        return policy_state, distribution, self.critic(critic_x)[0]

    def environment_action(self, raw_action: Action) -> Array:
        return self.head.environment_action(raw_action)


@register
@final
class StatelessActorCriticPolicy(AbstractStatelessPolicy, AbstractNetworkActorCriticPolicy):
    """Without a memory."""

    name: ClassVar[str] = "StatelessActorCriticPolicy"


@register
@final
class StatefulActorCriticPolicy(AbstractStatefulPolicy, AbstractNetworkActorCriticPolicy):
    """With the memory of its body."""

    name: ClassVar[str] = "StatefulActorCriticPolicy"


if TYPE_CHECKING:
    _Made = AbstractNetworkActorCriticPolicy
else:
    _Made = object


class ActorCriticPolicy(Role, _Made, init=False):
    """An actor and a critic on a body, which they share but for `separate_critic` and `critic_body`.

    Observations of every space; actions Discrete, Box, MultiDiscrete or MultiBinary (see `ActionHead`). `squash` maps a
    Box of actions through tanh onto its bounds instead of clipping. With `normalize_observation` a running normaliser
    stands before the networks and is saved and exported with them. With `gsde_interval` a Box is explored by gSDE (see
    `StateDependentNormal`) on what the actor's last layer sees, one draw being held for that many steps (see
    `held_noise`); as in the authors' code, the noise does not train those features.

    Initialisation: orthogonal, gain sqrt(2) in hidden layers, 0.01 for the actor's last and 1 for the critic's last
    (Andrychowicz et al. 2020, arXiv:2006.05990, section 3.2).

    With `separate_critic` the critic has a memory of its own behind the same trunk; with `critic_body` it has a body of its
    own, which may see other keys of the observation than the actor's: what a simulator knows and the robot does not.
    """

    classes = (StatelessActorCriticPolicy, StatefulActorCriticPolicy)
    usual = Layers((64, 64), jnp.tanh, "orthogonal")

    def __new__(
        cls,
        env: HasSpaces,
        body: AbstractBodyRecord = FLAT,
        *,
        critic_body: AbstractBodyRecord | None = None,
        separate_critic: bool = False,
        squash: bool = False,
        initial_log_std: float = 0.0,
        gsde_interval: int | None = None,
        key: Key[Array, ""],
    ) -> "ActorCriticPolicy":
        key_body, key_actor, key_critic = jr.split(key, 3)
        observation_space, action_space = spaces_of(env)
        built, heads = body.built(observation_space, cls.usual, num_memories=1 + separate_critic, key=key_body)
        size = critic_size = built.size // (1 + separate_critic)
        critic_heads = heads
        if critic_body is not None:
            if separate_critic:
                raise ValueError("separate_critic=True and critic_body both give the critic a memory. Choose one.")
            own, critic_heads = critic_body.built(observation_space, cls.usual, key=jr.fold_in(key_body, 1))
            built, critic_size = SeparateBodies(built, own), own.size
        noise_features = None if gsde_interval is None else (size, *heads.hidden_sizes)[-1]
        head = ActionHead(action_space, squash=squash, initial_log_std=initial_log_std, noise_features=noise_features)
        actor = heads.network(size, head.num_outputs, final_gain=0.01, key=key_actor)
        critic = critic_heads.network(critic_size, 1, key=key_critic)
        return cls.of(built, actor, critic, head, observation_space=observation_space, gsde_interval=gsde_interval)

    @classmethod
    def of(
        cls,
        body: AbstractBody | Frozen,
        actor: MLP | Frozen,
        critic: MLP | Frozen,
        head: ActionHead | Frozen,
        *,
        observation_space: AbstractSpace | None = None,
        gsde_interval: int | None = None,
    ) -> "ActorCriticPolicy":
        """One made of these parts. `observation_space` is that of the body, where that has one and sees all of it."""
        parts = {"actor": actor, "critic": critic, "head": head, "gsde_interval": gsde_interval}
        return assembled(cls, body, observation_space, action_space=head.action_space, **parts)


class MLPActorCriticPolicy(OnMLP, ActorCriticPolicy, init=False):
    """An actor and a critic on the flattened observation, apart or (`shared`) with the same hidden layers."""


class CNNActorCriticPolicy(OnCNN, ActorCriticPolicy, init=False):
    """An actor and a critic on images."""


class RecurrentActorCriticPolicy(OnRecurrent, ActorCriticPolicy, init=False):
    """An actor and a critic on a GRU or LSTM."""


class LiquidActorCriticPolicy(OnLiquid, ActorCriticPolicy, init=False):
    """An actor and a critic on a liquid network."""
