"""What every action distribution offers."""

from abc import abstractmethod
from typing import Any, Literal

import equinox as eqx
from jaxtyping import Array, Float, Key


def check_shape(name: str, found: tuple[int, ...], wanted: tuple[int, ...], why: str) -> None:
    """Check one array of a distribution, or a value of it: what broadcasts would be wrong without a word.

    Raises: ValueError for another shape.
    """
    if found != wanted:
        raise ValueError(f"{name} has shape {found}, but {why}. Give it shape {wanted}.")


class AbstractDistribution(eqx.Module):
    """A distribution over one *raw* action, the value that training stores and takes log-probabilities of.

    What the environment executes is made from it by the policy's head (clip, or tanh and rescale).
    """

    noise_kind: eqx.AbstractClassVar[Literal["uniform", "normal"]]  # what `noise` draws

    @abstractmethod
    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "..."]:
        """The random numbers that one sample is made of, uniform in (0, 1) or standard normal.

        They depend on shapes alone, so they can be drawn before the distribution is known: all at once for a whole
        rollout, or outside an exported policy. Of a distribution with leading axes: of as many samples.
        """

    @abstractmethod
    def from_noise(self, noise: Float[Array, "..."]) -> Any:
        """The raw action that `noise` stands for."""

    def marginal(self) -> "AbstractDistribution":
        """The same distribution of this one action, for where no noise is held over several: made of as little as can be."""
        return self

    def sample(self, *, key: Key[Array, ""]) -> Any:
        """A random raw action."""
        return self.from_noise(self.noise(key=key))

    @abstractmethod
    def mode(self) -> Any:
        """The most likely raw action; the first of several equally likely ones."""

    @abstractmethod
    def log_prob(self, value: Any) -> Float[Array, ""]:
        """Log-probability, or log-density, of one raw action, in nats."""

    @abstractmethod
    def entropy(self) -> Float[Array, ""]:
        """Entropy in nats."""
