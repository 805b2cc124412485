"""What every action distribution offers."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float, Key


class AbstractDistribution(eqx.Module):
    """A distribution over one *raw* action, the value that training stores and takes log-probabilities of.

    What the environment executes is made from it by the policy's head (clip, or tanh and rescale).
    """

    @abstractmethod
    def sample(self, *, key: Key[Array, ""]) -> Any:
        """A random raw action."""

    @abstractmethod
    def mode(self) -> Any:
        """The most likely raw action; the first of several equally likely ones."""

    @abstractmethod
    def log_prob(self, value: Any) -> Float[Array, ""]:
        """Log-probability, or log-density, of one raw action, in nats."""

    @abstractmethod
    def entropy(self) -> Float[Array, ""]:
        """Entropy in nats."""
