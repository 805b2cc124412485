"""Distributions over choices, with masks: one choice, several at once, several bits at once."""

import itertools
from typing import ClassVar, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Int8, Integer, Key

from perdure._core import check

from ._base import AbstractDistribution, check_shape

FLOOR = float(np.finfo(np.float32).min)  # finite, so that a log-probability and its gradient never become NaN


def uniform(shape: tuple[int, ...], *, key: Key[Array, ""]) -> Float[Array, "..."]:
    """Uniform draws in the open interval (0, 1)."""
    return jr.uniform(key, shape, minval=float(np.finfo(np.float32).tiny))


def choose(logits: Float[Array, "*batch choices"], noise: Float[Array, "*batch choices"]) -> Int[Array, "*batch"]:
    """A draw from softmax(logits) over the last axis, from noise uniform in (0, 1), one number a choice.

    Source: the Gumbel-max trick, Maddison et al. 2014, arXiv:1411.0030, section 2.
    """
    return (logits - jnp.log(-jnp.log(noise))).argmax(-1).astype(jnp.int32)


def legal(mask: Bool[Array, "*batch choices"]) -> Bool[Array, "*batch choices"]:
    """The mask with at least one legal choice: where all are False, the first choice is legal.

    An all-false mask is a mistake of the environment; with `perdure.utils.set_debug(True)` it is an error.
    """
    nothing = ~mask.any(-1, keepdims=True)
    mask = check(mask, nothing.any(), "The action mask is False for every action. Allow at least one.")
    first = jnp.arange(mask.shape[-1]) == 0
    return mask | (nothing & first)


def masked(
    logits: Float[Array, "*batch choices"], mask: Bool[Array, "*batch choices"] | None
) -> Float[Array, "*batch choices"]:
    """Logits with `FLOOR` where the choice is barred."""
    return logits if mask is None else jnp.where(legal(mask), logits, FLOOR)


def entropy_of(logits: Float[Array, "*batch choices"]) -> Float[Array, "*batch"]:
    """Entropy of softmax(logits) over the last axis; a choice of probability zero adds nothing."""
    log_p = jnp.maximum(jax.nn.log_softmax(logits), FLOOR)  # 0 * -inf would be NaN
    return -(jnp.exp(log_p) * log_p).sum(-1)


@final
class Categorical(AbstractDistribution):
    """One of n choices, as an int32 index. Raw logits; `mask` is False where a choice is barred."""

    noise_kind: ClassVar[Literal["uniform"]] = "uniform"
    logits: Float[Array, " choices"]

    def __init__(self, logits: Float[Array, " choices"], mask: Bool[Array, " choices"] | None = None):
        if mask is not None:
            check_shape("mask", mask.shape, logits.shape, f"logits has {logits.shape}")
        self.logits = masked(logits, mask)

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "*shape choices"]:
        return uniform(self.logits.shape, key=key)

    def from_noise(self, noise: Float[Array, " choices"]) -> Int[Array, ""]:
        return choose(self.logits, noise)

    def mode(self) -> Int[Array, ""]:
        return self.logits.argmax(-1).astype(jnp.int32)

    def log_prob(self, value: Integer[Array, ""]) -> Float[Array, ""]:
        check_shape("value", jnp.shape(value), (), "it is one index")
        return jnp.where(jnp.arange(self.logits.size) == value, jax.nn.log_softmax(self.logits), 0.0).sum()

    def entropy(self) -> Float[Array, ""]:
        return entropy_of(self.logits)


@final
class MultiCategorical(AbstractDistribution):
    """Independent choices, as an int32 vector of indices.

    `logits` and `mask` hold the choices of all components one after the other; `nvec` says how many each has.
    """

    noise_kind: ClassVar[Literal["uniform"]] = "uniform"
    logits: Float[Array, " choices"]
    nvec: tuple[int, ...] = eqx.field(static=True)
    mask: Bool[Array, " choices"] | None = None

    def __check_init__(self) -> None:
        wanted = (sum(self.nvec),)
        check_shape("logits", self.logits.shape, wanted, f"nvec = {self.nvec} are {wanted[0]} choices")
        if self.mask is not None:
            check_shape("mask", self.mask.shape, wanted, f"nvec = {self.nvec} are {wanted[0]} choices")

    @property
    def slices(self) -> list[slice]:
        """Where each component's choices lie."""
        at = np.cumsum((0, *self.nvec))
        return [slice(int(i), int(j)) for i, j in itertools.pairwise(at)]

    def parts(self) -> list[Categorical]:
        """One distribution a component."""
        return [Categorical(self.logits[s], None if self.mask is None else self.mask[s]) for s in self.slices]

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "*shape choices"]:
        return uniform(self.logits.shape, key=key)

    def from_noise(self, noise: Float[Array, " choices"]) -> Int[Array, " components"]:
        return jnp.stack([part.from_noise(noise[s]) for part, s in zip(self.parts(), self.slices, strict=True)])

    def mode(self) -> Int[Array, " components"]:
        return jnp.stack([part.mode() for part in self.parts()])

    def log_prob(self, value: Integer[Array, " components"]) -> Float[Array, ""]:
        check_shape("value", jnp.shape(value), (len(self.nvec),), f"nvec = {self.nvec} are {len(self.nvec)} components")
        return jnp.stack([part.log_prob(value[i]) for i, part in enumerate(self.parts())]).sum()

    def entropy(self) -> Float[Array, ""]:
        return jnp.stack([part.entropy() for part in self.parts()]).sum()


@final
class Bernoulli(AbstractDistribution):
    """Independent bits, as an int8 vector; `logits` are the log-odds of a one.

    `mask` holds for each bit "may be 0" and "may be 1".
    """

    noise_kind: ClassVar[Literal["uniform"]] = "uniform"
    logits: Float[Array, " bits"]
    mask: Bool[Array, " twice_bits"] | None = None

    def __check_init__(self) -> None:
        if self.mask is not None:
            wanted = (2 * self.logits.size,)
            check_shape("mask", self.mask.shape, wanted, f"{self.logits.size} bits have two values each")

    def pairs(self) -> Float[Array, "bits 2"]:
        """Each bit as a choice between 0 and 1: logits `(0, log-odds)`."""
        both = jnp.stack([jnp.zeros_like(self.logits), self.logits], -1)
        return masked(both, None if self.mask is None else self.mask.reshape(-1, 2))

    def noise(self, *, key: Key[Array, ""]) -> Float[Array, "*shape bits 2"]:
        return uniform((*self.logits.shape, 2), key=key)

    def from_noise(self, noise: Float[Array, "bits 2"]) -> Int8[Array, " bits"]:
        return choose(self.pairs(), noise).astype(jnp.int8)

    def mode(self) -> Int8[Array, " bits"]:
        pairs = self.pairs()
        return (pairs[:, 1] > pairs[:, 0]).astype(jnp.int8)

    def log_prob(self, value: Integer[Array, " bits"]) -> Float[Array, ""]:
        check_shape("value", jnp.shape(value), self.logits.shape, f"logits has {self.logits.shape}")
        log_p = jax.nn.log_softmax(self.pairs())
        return jnp.where(value == 1, log_p[:, 1], log_p[:, 0]).sum()

    def entropy(self) -> Float[Array, ""]:
        return entropy_of(self.pairs()).sum()
