"""Q policies: a body and the value of each action."""

from typing import TYPE_CHECKING, ClassVar, TypeVar, final

import equinox as eqx
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from perdure._core import Observation, register
from perdure.network import MLP
from perdure.space import AbstractSpace, Discrete

from ._abstract_q import AbstractQPolicy
from ._base import AbstractPolicyState, AbstractStatefulPolicy, AbstractStatelessPolicy
from ._body import AbstractBody
from ._body_policy import AbstractBodyPolicy, check_reads
from ._body_records import FLAT, AbstractBodyRecord, Layers
from ._frozen import Frozen
from ._role import OnCNN, OnLiquid, OnMLP, OnRecurrent, Role, assembled
from ._spaces import HasSpaces, check_discrete, spaces_of

R = TypeVar("R", bound="ActionValueRole")


class AbstractActionValuePolicy(AbstractBodyPolicy):
    """What every Q policy shares: a body, and a network with one or more numbers for each action.

    With `state_value` they are a value of the state plus what each action has over the mean of all actions.
    `epsilon` is the exploration of a call with a key; algorithms explore by their own schedule.

    Source of `state_value`: Wang et al. 2016, arXiv:1511.06581, eq. 9.

    Raises: TypeError if the action space is not Discrete, ValueError if epsilon is outside [0, 1], or for parts that do not
    fit together.
    """

    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: Discrete = eqx.field(static=True)
    epsilon: float = eqx.field(static=True)
    body: AbstractBody | Frozen
    network: MLP | Frozen
    state_value: MLP | Frozen | None

    def __check_init__(self) -> None:
        num_actions = check_discrete(self.action_space).n
        if not 0 <= self.epsilon <= 1:
            raise ValueError(
                f"{type(self).__name__}.epsilon = {self.epsilon}, but it is a probability. Choose a number in [0, 1]."
            )
        each = max(self.network.out_size // num_actions, 1)
        check_reads("network", self.network, self.body.size, num_actions * each)
        if self.state_value is not None:
            check_reads("state_value", self.state_value, self.body.size, each)

    def action_outputs(
        self, policy_state: AbstractPolicyState | None, observation: Observation
    ) -> tuple[AbstractPolicyState | None, Float[Array, "actions outputs"]]:
        """The next policy state, and the numbers of each action."""
        policy_state, x = self.body(policy_state, observation)
        outputs = self.network(x).reshape(self.action_space.n, -1)
        if self.state_value is not None:
            outputs = self.state_value(x) + outputs - outputs.mean(0)
        return policy_state, outputs


class AbstractNetworkQPolicy(AbstractActionValuePolicy, AbstractQPolicy):
    """One number an action; see `QPolicy`, which makes them."""

    def __check_init__(self) -> None:
        check_reads("network", self.network, self.body.size, self.action_space.n)

    def q_values(
        self, state: AbstractPolicyState | None, observation: Observation
    ) -> tuple[AbstractPolicyState | None, Float[Array, " actions"]]:
        policy_state, outputs = self.action_outputs(state, observation)
        return policy_state, outputs[:, 0]


@register
@final
class StatelessQPolicy(AbstractStatelessPolicy, AbstractNetworkQPolicy):
    """Without a memory."""

    name: ClassVar[str] = "StatelessQPolicy"


@register
@final
class StatefulQPolicy(AbstractStatefulPolicy, AbstractNetworkQPolicy):
    """With the memory of its body."""

    name: ClassVar[str] = "StatefulQPolicy"


class ActionValueRole(Role):
    """The roles on action values, which differ in how many numbers an action has."""

    usual = Layers((64, 64), jnp.tanh, "uniform")

    @classmethod
    def build(
        cls: type[R],
        env: HasSpaces,
        body: AbstractBodyRecord,
        *,
        outputs_per_action: int,
        dueling: bool,
        epsilon: float,
        key: Key[Array, ""],
    ) -> R:
        """One on this body with fresh weights."""
        key_body, key_network, key_value = jr.split(key, 3)
        observation_space, action_space = spaces_of(env)
        actions = check_discrete(action_space)
        built, heads = body.built(observation_space, cls.usual, key=key_body)
        network = heads.network(built.size, actions.n * outputs_per_action, key=key_network)
        state_value = heads.network(built.size, outputs_per_action, key=key_value) if dueling else None
        return cls.of(
            built, network, actions, state_value=state_value, epsilon=epsilon, observation_space=observation_space
        )

    @classmethod
    def of(
        cls: type[R],
        body: AbstractBody | Frozen,
        network: MLP | Frozen,
        action_space: Discrete,
        *,
        state_value: MLP | Frozen | None = None,
        epsilon: float = 0.05,
        observation_space: AbstractSpace | None = None,
    ) -> R:
        """One made of these parts. `observation_space` is that of the body, where that has one and sees all of it."""
        parts = {"network": network, "state_value": state_value}
        return assembled(cls, body, observation_space, action_space=action_space, epsilon=float(epsilon), **parts)


if TYPE_CHECKING:
    _Made = AbstractNetworkQPolicy
else:
    _Made = object


class QPolicy(ActionValueRole, _Made, init=False):
    """The value of each action.

    With `dueling` it is a value of the state plus what each action has over the mean of all actions (Wang et al. 2016,
    arXiv:1511.06581). `epsilon` is the exploration of a call with a key; algorithms explore by their own schedule.

    Raises: TypeError if the action space is not Discrete, ValueError if epsilon is outside [0, 1].
    """

    classes = (StatelessQPolicy, StatefulQPolicy)

    def __new__(
        cls,
        env: HasSpaces,
        body: AbstractBodyRecord = FLAT,
        *,
        dueling: bool = False,
        epsilon: float = 0.05,
        key: Key[Array, ""],
    ) -> "QPolicy":
        return cls.build(env, body, outputs_per_action=1, dueling=dueling, epsilon=epsilon, key=key)


class MLPQPolicy(OnMLP, QPolicy, init=False):
    """Action values from the flattened observation."""


class CNNQPolicy(OnCNN, QPolicy, init=False):
    """Action values from images."""


class RecurrentQPolicy(OnRecurrent, QPolicy, init=False):
    """Action values from a GRU or LSTM."""


class LiquidQPolicy(OnLiquid, QPolicy, init=False):
    """Action values from a liquid network."""
