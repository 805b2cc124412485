"""Actors of soft actor-critic: a body and a distribution whose spread depends on the observation."""

from typing import TYPE_CHECKING, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key

from perdure._core import Action, Observation, register
from perdure.distribution import AbstractDistribution, Categorical, SquashedNormal, StateDependentNormal
from perdure.network import MLP, Bounded
from perdure.space import AbstractSpace, Box, Discrete

from ._abstract_stochastic import AbstractSACPolicy
from ._base import AbstractPolicyState, AbstractStatefulPolicy, AbstractStatelessPolicy
from ._body import AbstractBody
from ._body_policy import AbstractBodyPolicy, check_reads
from ._body_records import FLAT, AbstractBodyRecord, Layers
from ._frozen import Frozen
from ._head import check_gsde, initial_spread
from ._role import OnCNN, OnLiquid, OnMLP, OnRecurrent, Role, assembled
from ._spaces import HasSpaces, check_bounded, rescaled, spaces_of

LOG_STD = (-20.0, 2.0)  # bounds of the natural logarithm of the standard deviation
MEAN = 2.0  # bound of the means with gSDE, before tanh


def check_actions(space: AbstractSpace, gsde_interval: int | None, who: str) -> Box | Discrete:
    """`space`, if it is Discrete or a Box with finite bounds; for gSDE a Box.

    Raises: TypeError for another space, ValueError for a side without a bound.
    """
    return space if isinstance(space, Discrete) and gsde_interval is None else check_bounded(space, who)


def num_outputs(space: Box | Discrete, gsde_interval: int | None) -> int:
    """How many numbers the network gives: logits, or means and without gSDE as many spreads."""
    is_doubled = isinstance(space, Box) and gsde_interval is None
    return space.flat_size * (2 if is_doubled else 1)


class AbstractNetworkSACPolicy(AbstractBodyPolicy, AbstractSACPolicy):
    """A distribution over actions from the features of a body; see `SACPolicy`, which makes them.

    Raises: TypeError for another action space, ValueError if a side of the Box has no bound, for gSDE without a Box, and for
    parts that do not fit together.
    """

    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: Box | Discrete = eqx.field(static=True)
    body: AbstractBody | Frozen
    network: MLP | Frozen
    log_std: Float[Array, "features size"] | None  # of gSDE, natural logarithm
    gsde_interval: int | None = eqx.field(static=True)

    def __check_init__(self) -> None:
        check_gsde(self.gsde_interval)
        space = check_actions(self.action_space, self.gsde_interval, type(self).__name__)
        check_reads("network", self.network, self.body.size, num_outputs(space, self.gsde_interval))
        if (self.log_std is None) != (self.gsde_interval is None):
            raise ValueError("log_std and gsde_interval belong together: give both for gSDE, or neither.")

    def evaluate(
        self,
        policy_state: AbstractPolicyState | None,
        observation: Observation,
        action_mask: Bool[Array, " choices"] | None = None,
    ) -> tuple[AbstractPolicyState | None, AbstractDistribution]:
        policy_state, x = self.body(policy_state, observation)
        features = self.network.hidden(x)
        outputs = self.network.last(features)
        if isinstance(self.action_space, Discrete):
            return policy_state, Categorical(outputs, action_mask)
        if action_mask is not None:
            raise ValueError(
                f"action_mask given, but action_space is {self.action_space}, which has no choices to bar."
            )
        if self.log_std is not None:
            return policy_state, StateDependentNormal(outputs, features, self.log_std, squash=True)
        mean, log_std = jnp.split(outputs, 2)
        return policy_state, SquashedNormal(mean, jnp.clip(log_std, *LOG_STD))

    def environment_action(self, raw_action: Action) -> Array:
        if isinstance(self.action_space, Discrete):
            return raw_action + self.action_space.start if self.action_space.start else raw_action
        return rescaled(self.action_space, jnp.tanh(raw_action))


@register
@final
class StatelessSACPolicy(AbstractStatelessPolicy, AbstractNetworkSACPolicy):
    """Without a memory."""

    name: ClassVar[str] = "StatelessSACPolicy"


@register
@final
class StatefulSACPolicy(AbstractStatefulPolicy, AbstractNetworkSACPolicy):
    """With the memory of its body."""

    name: ClassVar[str] = "StatefulSACPolicy"


if TYPE_CHECKING:
    _Made = AbstractNetworkSACPolicy
else:
    _Made = object


class SACPolicy(Role, _Made, init=False):
    """A soft actor.

    For a Box the network gives the means, then the logarithms of the standard deviations, which are clipped to
    [-20, 2]; for Discrete it gives logits. With `gsde_interval` a Box is explored by gSDE (see `StateDependentNormal`)
    on what the last layer sees, which the noise trains too: the network gives means alone, clipped to [-2, 2] so that tanh
    keeps a slope, and `log_std` is learned. One draw is held for that many steps (see `held_noise`).

    Source: Haarnoja et al. 2018, arXiv:1812.05905, appendix C, and the authors' code for the bounds; those of the means and
    the gradient of the noise from Stable-Baselines3, whose authors are those of gSDE (`clip_mean`, `learn_features=True`);
    for discrete actions Christodoulou 2019, arXiv:1910.07207.

    Raises: TypeError for another action space, ValueError if a side of the Box has no bound, or for gSDE without a Box.
    """

    classes = (StatelessSACPolicy, StatefulSACPolicy)
    usual = Layers((256, 256), jax.nn.relu, "uniform")

    def __new__(
        cls,
        env: HasSpaces,
        body: AbstractBodyRecord = FLAT,
        *,
        initial_log_std: float = 0.0,
        gsde_interval: int | None = None,
        key: Key[Array, ""],
    ) -> "SACPolicy":
        key_body, key_network = jr.split(key)
        observation_space, action_space = spaces_of(env)
        actions = check_actions(action_space, gsde_interval, cls.__name__)
        built, heads = body.built(observation_space, cls.usual, key=key_body)
        log_std = None
        if gsde_interval is not None:
            log_std = initial_spread(actions.flat_size, initial_log_std, (built.size, *heads.hidden_sizes)[-1])
        final = jax.nn.identity if gsde_interval is None else Bounded(-MEAN, MEAN)
        outputs = num_outputs(actions, gsde_interval)
        network = heads.network(built.size, outputs, final_activation=final, final_gain=0.01, key=key_network)
        return cls.of(
            built, network, actions, log_std=log_std, gsde_interval=gsde_interval, observation_space=observation_space
        )

    @classmethod
    def of(
        cls,
        body: AbstractBody | Frozen,
        network: MLP | Frozen,
        action_space: Box | Discrete,
        *,
        log_std: Float[Array, "features size"] | None = None,
        gsde_interval: int | None = None,
        observation_space: AbstractSpace | None = None,
    ) -> "SACPolicy":
        """One made of these parts. `observation_space` is that of the body, where that has one and sees all of it."""
        parts = {"network": network, "log_std": log_std, "gsde_interval": gsde_interval}
        return assembled(cls, body, observation_space, action_space=action_space, **parts)


class MLPSACPolicy(OnMLP, SACPolicy, init=False):
    """A soft actor on the flattened observation."""


class CNNSACPolicy(OnCNN, SACPolicy, init=False):
    """A soft actor on images."""


class RecurrentSACPolicy(OnRecurrent, SACPolicy, init=False):
    """A soft actor on a GRU or LSTM."""


class LiquidSACPolicy(OnLiquid, SACPolicy, init=False):
    """A soft actor on a liquid network."""
