"""Spaces of choices: one choice, several choices at once, several bits at once."""

import dataclasses
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Int8, Key

from perdure._core import register

from ._base import AbstractSpace
from ._casts import held, plain, whole


def choose(key: Key[Array, ""], mask: Bool[Array, " choices"]) -> Int[Array, ""]:
    """A uniform draw among the True entries; entry 0 if there is none."""
    return jnp.where(mask.any(), jr.categorical(key, jnp.where(mask, 0.0, -jnp.inf)), 0).astype(jnp.int32)


def check_int32(where: str, start: int, n: int) -> None:
    limits = np.iinfo(np.int32)
    if start < limits.min or start + n - 1 > limits.max:
        raise ValueError(f"{where} has choices from {start} to {start + n - 1}, but they are int32. Count them from 0.")


@register
@final
@dataclasses.dataclass(frozen=True, eq=False)
class Discrete(AbstractSpace):
    """The integers `start, ..., start + n - 1` as int32 scalars.

    Raises: ValueError if n < 1, one of the two is no whole number, or int32 does not hold the last choice.
    """

    n: int
    start: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", whole("Discrete.n", self.n))
        object.__setattr__(self, "start", whole("Discrete.start", self.start))
        self.__check_init__()

    def __check_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"Discrete.n = {self.n}, but a space needs at least one choice.")
        check_int32("Discrete", self.start, self.n)

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.int32)

    @property
    def mask_size(self) -> int:
        return self.n

    def sample(self, *, key: Key[Array, ""], mask: Bool[Array, " mask_size"] | None = None) -> Int[Array, ""]:
        return self.start + (jr.randint(key, (), 0, self.n) if mask is None else choose(key, mask))

    def contains(self, value: Any) -> bool:
        value = plain(value)
        return bool(value.shape == () and value.dtype.kind in "iu" and self.start <= value < self.start + self.n)

    def canonical(self) -> Int[Array, ""]:
        return jnp.asarray(self.start, jnp.int32)

    @property
    def flat_size(self) -> int:
        return self.n

    def flatten(self, value: Any) -> Float[Array, " flat_size"]:
        choice = held("Discrete", value, self.start, self.start + self.n - 1)
        return jax.nn.one_hot(jnp.asarray(choice) - self.start, self.n)


@register
@final
@dataclasses.dataclass(frozen=True, eq=False)
class MultiDiscrete(AbstractSpace):
    """Several choices at once: int32 vectors with `start[i] <= value[i] < start[i] + nvec[i]`.

    `start` is a number for all components or one for each (default 0).

    Raises: ValueError if `nvec` is empty, a component has no choice, or the lengths differ.
    """

    nvec: tuple[int, ...]
    start: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        nvec = tuple(whole("MultiDiscrete.nvec", n) for n in np.asarray(self.nvec).ravel())
        object.__setattr__(self, "nvec", nvec)
        one_for_all = np.ndim(self.start) == 0 or len(self.start) == 0
        start = np.broadcast_to(self.start or 0, len(self.nvec)) if one_for_all else self.start
        object.__setattr__(self, "start", tuple(whole("MultiDiscrete.start", s) for s in start))
        self.__check_init__()

    def __check_init__(self) -> None:
        if not self.nvec or min(self.nvec) < 1:
            raise ValueError(
                f"MultiDiscrete.nvec = {self.nvec}, but it needs at least one component of at least one choice."
            )
        if len(self.start) != len(self.nvec):
            raise ValueError(
                f"MultiDiscrete.start has {len(self.start)} entries but nvec has {len(self.nvec)}. "
                "Give one number for each, or one for all."
            )
        for start, n in zip(self.start, self.nvec, strict=True):
            check_int32("MultiDiscrete", start, n)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.nvec),)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.int32)

    @property
    def mask_size(self) -> int:
        return sum(self.nvec)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Where each component's choices begin in a flat vector, and its end: `len(nvec) + 1` numbers."""
        return tuple(int(i) for i in np.cumsum((0, *self.nvec)))

    def sample(
        self, *, key: Key[Array, ""], mask: Bool[Array, " mask_size"] | None = None
    ) -> Int[Array, " components"]:
        start = jnp.asarray(self.start, jnp.int32)
        if mask is None:
            return start + jr.randint(key, self.shape, 0, jnp.asarray(self.nvec))
        keys = jr.split(key, len(self.nvec))
        parts = [choose(k, mask[i:j]) for k, i, j in zip(keys, self.offsets, self.offsets[1:], strict=False)]
        return start + jnp.stack(parts)

    def contains(self, value: Any) -> bool:
        value, start = plain(value), np.asarray(self.start)
        inside = value.shape == self.shape and value.dtype.kind in "iu"
        return bool(inside and (start <= value).all() and (value < start + self.nvec).all())

    def canonical(self) -> Int[Array, " components"]:
        return jnp.asarray(self.start, jnp.int32)

    @property
    def flat_size(self) -> int:
        return sum(self.nvec)

    def flatten(self, value: Any) -> Float[Array, " flat_size"]:
        start = np.asarray(self.start)
        choices = held("MultiDiscrete", value, start, start + self.nvec - 1)
        index = jnp.asarray(choices) - jnp.asarray(self.start)
        return jnp.concatenate([jax.nn.one_hot(index[i], n) for i, n in enumerate(self.nvec)])


@register
@final
@dataclasses.dataclass(frozen=True, eq=False)
class MultiBinary(AbstractSpace):
    """Bits: int8 arrays of zeros and ones. `MultiBinary(5)` is `MultiBinary((5,))`.

    Raises: ValueError if a dimension is below 1.
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(whole("MultiBinary.shape", d) for d in np.atleast_1d(self.shape)))
        self.__check_init__()

    def __check_init__(self) -> None:
        if not self.shape or min(self.shape) < 1:
            raise ValueError(f"MultiBinary.shape = {self.shape}, but each dimension must be at least 1.")

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.int8)

    @property
    def mask_size(self) -> int:
        return 2 * self.flat_size

    def sample(self, *, key: Key[Array, ""], mask: Bool[Array, " mask_size"] | None = None) -> Int8[Array, "..."]:
        if mask is None:
            return jr.bernoulli(key, shape=self.shape).astype(jnp.int8)
        bits = jax.vmap(choose)(jr.split(key, self.flat_size), mask.reshape(-1, 2))
        return bits.reshape(self.shape).astype(jnp.int8)

    def contains(self, value: Any) -> bool:
        value = plain(value)
        return bool(value.shape == self.shape and value.dtype.kind in "biu" and ((value == 0) | (value == 1)).all())

    def canonical(self) -> Int8[Array, "..."]:
        return jnp.zeros(self.shape, jnp.int8)

    @property
    def flat_size(self) -> int:
        return int(np.prod(self.shape))

    def flatten(self, value: Any) -> Float[Array, " flat_size"]:
        return jnp.asarray(held("MultiBinary", value, 0, 1), jnp.float32).reshape(-1)
