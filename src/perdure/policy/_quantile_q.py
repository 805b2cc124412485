"""Q policies that know the distribution of returns by its quantiles (QR-DQN)."""

from typing import TYPE_CHECKING, ClassVar, final

from jaxtyping import Array, Float, Key

from perdure._core import Observation, check_counts, register

from ._abstract_q import AbstractQuantileQPolicy
from ._base import AbstractPolicyState, AbstractStatefulPolicy, AbstractStatelessPolicy
from ._body_records import FLAT, AbstractBodyRecord
from ._q import AbstractActionValuePolicy, ActionValueRole
from ._role import OnCNN, OnLiquid, OnMLP, OnRecurrent
from ._spaces import HasSpaces


class AbstractNetworkQuantileQPolicy(AbstractActionValuePolicy, AbstractQuantileQPolicy):
    """Quantiles of each action's return; see `QuantileQPolicy`, which makes them."""

    def quantiles(
        self, policy_state: AbstractPolicyState | None, observation: Observation
    ) -> tuple[AbstractPolicyState | None, Float[Array, "actions quantiles"]]:
        return self.action_outputs(policy_state, observation)


@register
@final
class StatelessQuantileQPolicy(AbstractStatelessPolicy, AbstractNetworkQuantileQPolicy):
    """Without a memory."""

    name: ClassVar[str] = "StatelessQuantileQPolicy"


@register
@final
class StatefulQuantileQPolicy(AbstractStatefulPolicy, AbstractNetworkQuantileQPolicy):
    """With the memory of its body."""

    name: ClassVar[str] = "StatefulQuantileQPolicy"


if TYPE_CHECKING:
    _Made = AbstractNetworkQuantileQPolicy
else:
    _Made = object


class QuantileQPolicy(ActionValueRole, _Made, init=False):
    """`num_quantiles` quantiles of each action's return, of which it acts on the mean.

    With `dueling` each is one of the state plus what each action has over the mean of all actions. `epsilon` is the
    exploration of a call with a key; algorithms explore by their own schedule.

    Source: Dabney et al. 2018, arXiv:1710.10044; of `dueling`: Wang et al. 2016, arXiv:1511.06581.

    Raises: TypeError if the action space is not Discrete, ValueError if epsilon is outside [0, 1].
    """

    classes = (StatelessQuantileQPolicy, StatefulQuantileQPolicy)

    def __new__(
        cls,
        env: HasSpaces,
        body: AbstractBodyRecord = FLAT,
        *,
        num_quantiles: int = 50,
        dueling: bool = False,
        epsilon: float = 0.05,
        key: Key[Array, ""],
    ) -> "QuantileQPolicy":
        check_counts(num_quantiles=num_quantiles)
        return cls.build(env, body, outputs_per_action=num_quantiles, dueling=dueling, epsilon=epsilon, key=key)


class MLPQuantileQPolicy(OnMLP, QuantileQPolicy, init=False):
    """Quantiles of each action's return from the flattened observation."""


class CNNQuantileQPolicy(OnCNN, QuantileQPolicy, init=False):
    """Quantiles of each action's return from images."""


class RecurrentQuantileQPolicy(OnRecurrent, QuantileQPolicy, init=False):
    """Quantiles of each action's return from a GRU or LSTM."""


class LiquidQuantileQPolicy(OnLiquid, QuantileQPolicy, init=False):
    """Quantiles of each action's return from a liquid network."""
