"""What a policy is: observations and its own state in, an action and its next state out."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Generic, TypeVar

import equinox as eqx
import jax
import numpy as np
from jax import random as jr
from jaxtyping import Array, Key
from numpy.typing import ArrayLike

from perdure._core import Serializable
from perdure.space import AbstractSpace

from ._parameters import parameters_of, with_parameters

P = TypeVar("P", bound="AbstractPolicy")  # not typing.Self, which beartype takes only on classes it decorates itself
StateType = TypeVar("StateType")
ActType = TypeVar("ActType")
ObsType = TypeVar("ObsType")
MaskType = TypeVar("MaskType")


class AbstractPolicyState(eqx.Module):
    """Base class for the state of a policy: floating-point arrays only, so that it can be exported."""


class AbstractPolicy(Serializable, Generic[StateType, ActType, ObsType, MaskType]):
    """Maps an observation and a policy state to an action and the next policy state.

    A policy is *complete*: it takes the observation as the environment gives it, and its action is in the environment's
    own units and bounds. It works on one observation; `jax.vmap` makes batches.
    """

    must_be_finite: ClassVar[bool] = True
    name: eqx.AbstractClassVar[str]
    action_space: eqx.AbstractVar[AbstractSpace]
    observation_space: eqx.AbstractVar[AbstractSpace]

    @abstractmethod
    def __call__(
        self,
        state: StateType,
        observation: ObsType,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: MaskType | None = None,
    ) -> tuple[StateType, ActType]:
        """The next policy state, and the action to execute.

        Without `key` the policy is deterministic. `action_mask` is flat, False where a choice is barred
        (see `AbstractSpace.mask_size`); where it bars everything, the first action is taken.
        """

    @abstractmethod
    def reset(self, *, key: Key[Array, ""]) -> StateType:
        """The policy state at the start of an episode."""

    def get_parameters(self, *, statistics: bool = False) -> dict[str, np.ndarray]:
        """What is learned: numpy arrays of your own, by their place, such as `actor.layers.0.weight`.

        Only what an optimiser moves: the running statistics of a normaliser (`body.normalizer.mean`, ...) and other constants are
        no part of it unless `statistics`. A policy is complete in a file, see `perdure.checkpoint.save_policy`.
        """
        return parameters_of(self, statistics=statistics)

    def set_parameters(self: P, parameters: Mapping[str, ArrayLike]) -> P:
        """The policy with these values for all that `get_parameters` names; this one stays as it is.

        With the statistics of `get_parameters(statistics=True)` these are set too; without them a normaliser keeps its own,
        so the policy acts as the one they came from only where it has seen the same.

        Raises: ValueError for a name too many or too few, another shape, or numbers that are not finite.
        """
        return with_parameters(self, parameters)


class AbstractStatelessPolicy(AbstractPolicy[None, ActType, ObsType, MaskType]):
    """A policy that remembers nothing: its state is None."""

    def reset(self, *, key: Key[Array, ""]) -> None:
        return None


class AbstractStatefulPolicy(AbstractPolicy[StateType, ActType, ObsType, MaskType]):
    """A policy with a memory: its state is an `AbstractPolicyState`."""


def is_stateful(policy: AbstractPolicy) -> bool:
    """True if the policy carries a memory from one observation to the next."""
    return bool(jax.tree.leaves(jax.eval_shape(lambda: policy.reset(key=jr.key(0)))))
