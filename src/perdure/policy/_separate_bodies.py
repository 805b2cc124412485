"""A body for the actor and another for the critic, which may see other parts of the observation."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from perdure._core import Observation, register

from ._base import AbstractPolicyState
from ._body import AbstractBody, TakesStatistics
from ._frozen import Frozen
from ._observation import FixedNormalizer, Normalizer


@register
@final
class SeparateStates(AbstractPolicyState):
    """What each of two bodies remembers; None for one that remembers nothing."""

    actor: AbstractPolicyState | None
    critic: AbstractPolicyState | None


@register
@final
class SeparateBodies(AbstractBody):
    """The features of the actor's body, then those of the critic's, each with a memory of its own."""

    actor: AbstractBody | Frozen
    critic: AbstractBody | Frozen

    @property
    def normalizer(self) -> Normalizer | FixedNormalizer | None:
        """The actor's."""
        return getattr(self.actor, "normalizer", None)

    @property
    def size(self) -> int:
        return self.actor.size + self.critic.size

    def reset(self) -> SeparateStates | None:
        states = SeparateStates(self.actor.reset(), self.critic.reset())
        return None if states.actor is None and states.critic is None else states

    def __call__(
        self, policy_state: AbstractPolicyState | None, observation: Observation
    ) -> tuple[SeparateStates | None, Float[Array, " features"]]:
        states = policy_state if isinstance(policy_state, SeparateStates) else SeparateStates(None, None)
        actor_state, actor_features = self.actor(states.actor, observation)
        critic_state, critic_features = self.critic(states.critic, observation)
        features = jnp.concatenate([actor_features, critic_features])
        return None if policy_state is None else SeparateStates(actor_state, critic_state), features

    def fresh(self, *, key: Key[Array, ""]) -> AbstractBody:
        """The critic's, for a critic that is trained beside the policy."""
        return self.critic.fresh(key=key)

    def updated(self, observation: Observation) -> "SeparateBodies":
        actor, critic = (
            body.updated(observation) if not isinstance(body, Frozen) and isinstance(body, TakesStatistics) else body
            for body in (self.actor, self.critic)
        )
        return eqx.tree_at(lambda b: (b.actor, b.critic), self, (actor, critic))
