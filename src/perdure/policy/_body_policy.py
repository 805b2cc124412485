"""What every policy on the features of a body shares, whatever its heads are."""

from typing import TypeVar

import equinox as eqx
from jaxtyping import Array, Key

from perdure._core import Observation
from perdure.network import MLP

from ._base import AbstractPolicy, AbstractPolicyState, AbstractStatelessPolicy
from ._body import AbstractBody, TakesStatistics
from ._frozen import Frozen
from ._observation import FixedNormalizer, Normalizer

M = TypeVar("M")  # a policy, a critic, or a tuple of critics


class AbstractBodyPolicy(AbstractPolicy):
    """A policy on the features of a body, whose memory is the policy's.

    Raises: ValueError if the body has a memory and the policy is stateless, or the other way round.
    """

    body: eqx.AbstractVar[AbstractBody | Frozen]

    def __check_init__(self) -> None:
        has_memory = self.body.reset() is not None
        if has_memory == isinstance(self, AbstractStatelessPolicy):
            raise ValueError(
                f"{type(self).__name__}.body has {'a' if has_memory else 'no'} memory. Build policies with the role's `of`, "
                "which takes the class that fits."
            )

    @property
    def normalizer(self) -> Normalizer | FixedNormalizer | None:
        """What normalises the observation before the networks; None where the body has no such part."""
        return getattr(self.body, "normalizer", None)

    def reset(self, *, key: Key[Array, ""]) -> AbstractPolicyState | None:
        return self.body.reset()


def check_reads(name: str, network: MLP | Frozen, features: int, outputs: int) -> None:
    """Check that a network takes so many features, and gives so many numbers.

    Raises: ValueError naming the network, what it has and what is wanted.
    """
    if network.in_size != features:
        raise ValueError(f"{name} takes {network.in_size} features, but the body gives {features}. Make one to fit.")
    if network.out_size != outputs:
        raise ValueError(f"{name} gives {network.out_size} numbers, but {outputs} are wanted. Make one to fit.")


def update_normalizer(module: M, observation: Observation) -> M:
    """A policy, critic, or tuple of critics with a batch of observations (leading axis) taken into its statistics, if any.

    The statistics of a frozen body stay as they are.
    """
    if isinstance(module, tuple):
        return type(module)(update_normalizer(m, observation) for m in module)
    body = getattr(module, "body", None)
    if isinstance(body, Frozen) or not isinstance(body, TakesStatistics):
        return module
    return eqx.tree_at(lambda m: m.body, module, body.updated(observation))
