"""Deterministic policies (DDPG, TD3): a body and one action, through tanh onto the bounds."""

from typing import TYPE_CHECKING, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from perdure._core import Observation, register
from perdure.network import MLP
from perdure.space import AbstractSpace, Box

from ._abstract_deterministic import AbstractDeterministicPolicy
from ._base import AbstractPolicyState, AbstractStatefulPolicy, AbstractStatelessPolicy
from ._body import AbstractBody
from ._body_policy import AbstractBodyPolicy, check_reads
from ._body_records import FLAT, AbstractBodyRecord, Layers
from ._frozen import Frozen
from ._role import OnCNN, OnLiquid, OnMLP, OnRecurrent, Role, assembled
from ._spaces import HasSpaces, check_bounded, spaces_of


class AbstractNetworkDeterministicPolicy(AbstractBodyPolicy, AbstractDeterministicPolicy):
    """One action from the features of a body; see `DeterministicPolicy`, which makes them.

    Raises: TypeError if the action space is no Box of floats, ValueError if a side of it has no bound, or for parts that do
    not fit together.
    """

    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: Box = eqx.field(static=True)
    body: AbstractBody | Frozen
    network: MLP | Frozen

    def __check_init__(self) -> None:
        check_reads(
            "network", self.network, self.body.size, check_bounded(self.action_space, type(self).__name__).flat_size
        )

    def normalized_action(
        self, policy_state: AbstractPolicyState | None, observation: Observation
    ) -> tuple[AbstractPolicyState | None, Float[Array, " size"]]:
        policy_state, x = self.body(policy_state, observation)
        return policy_state, self.network(x)


@register
@final
class StatelessDeterministicPolicy(AbstractStatelessPolicy, AbstractNetworkDeterministicPolicy):
    """Without a memory."""

    name: ClassVar[str] = "StatelessDeterministicPolicy"


@register
@final
class StatefulDeterministicPolicy(AbstractStatefulPolicy, AbstractNetworkDeterministicPolicy):
    """With the memory of its body."""

    name: ClassVar[str] = "StatefulDeterministicPolicy"


if TYPE_CHECKING:
    _Made = AbstractNetworkDeterministicPolicy
else:
    _Made = object


class DeterministicPolicy(Role, _Made, init=False):
    """One action from observations of every space; a Box with finite bounds, which tanh is scaled to.

    Raises: TypeError if the action space is no Box of floats, ValueError if a side of it has no bound.
    """

    classes = (StatelessDeterministicPolicy, StatefulDeterministicPolicy)
    usual = Layers((256, 256), jax.nn.relu, "uniform")

    def __new__(cls, env: HasSpaces, body: AbstractBodyRecord = FLAT, *, key: Key[Array, ""]) -> "DeterministicPolicy":
        key_body, key_network = jr.split(key)
        observation_space, action_space = spaces_of(env)
        actions = check_bounded(action_space, cls.__name__)
        built, heads = body.built(observation_space, cls.usual, key=key_body)
        network = heads.network(
            built.size, actions.flat_size, final_activation=jnp.tanh, final_gain=0.01, key=key_network
        )
        return cls.of(built, network, actions, observation_space=observation_space)

    @classmethod
    def of(
        cls,
        body: AbstractBody | Frozen,
        network: MLP | Frozen,
        action_space: Box,
        *,
        observation_space: AbstractSpace | None = None,
    ) -> "DeterministicPolicy":
        """One made of these parts; the network ends in numbers from -1 to 1.

        `observation_space` is that of the body, where that has one and sees all of it.
        """
        return assembled(cls, body, observation_space, action_space=action_space, network=network)


class MLPDeterministicPolicy(OnMLP, DeterministicPolicy, init=False):
    """One action from the flattened observation."""


class CNNDeterministicPolicy(OnCNN, DeterministicPolicy, init=False):
    """One action from images."""


class RecurrentDeterministicPolicy(OnRecurrent, DeterministicPolicy, init=False):
    """One action from a GRU or LSTM."""


class LiquidDeterministicPolicy(OnLiquid, DeterministicPolicy, init=False):
    """One action from a liquid network."""
