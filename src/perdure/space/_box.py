"""A box in R^n: each bound finite or infinite. Images (uint8) and integer ranges too."""

import dataclasses
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key, Shaped

from perdure._core import register

from ._base import AbstractSpace


def narrow(dtype: Any) -> np.dtype:
    """The dtype that JAX computes with: 64-bit numbers become 32-bit ones."""
    dtype = np.dtype(dtype)
    return {"float64": np.dtype("float32"), "int64": np.dtype("int32"), "uint64": np.dtype("uint32")}.get(dtype.name, dtype)


def as_bound(bound: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """`bound` in `shape` and `dtype`, saturated where the dtype cannot hold it (a float64 bound of 1e308, an int of inf)."""
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    wide = np.broadcast_to(np.asarray(bound, np.float64), shape)
    finite = np.isfinite(wide) if dtype.kind == "f" else np.ones(shape, bool)
    array = np.where(finite, np.clip(wide, float(limits.min), float(limits.max)), wide).astype(dtype)
    array.setflags(write=False)
    return array


@register
@final
@dataclasses.dataclass(frozen=True, eq=False, init=False, repr=False)
class Box(AbstractSpace):
    """Arrays with `low <= value <= high`, bounds included.

    `low` and `high` are numbers, or arrays that broadcast to `shape` (default: the shape of the bounds). 64-bit dtypes
    are narrowed to 32 bits, as JAX does.

    Raises: ValueError if the shapes differ, a bound is NaN, or `low > high` anywhere.
    """

    low: np.ndarray
    high: np.ndarray

    def __init__(self, low: Any, high: Any, shape: tuple[int, ...] | None = None, dtype: Any = np.float32):
        if shape is None:
            if np.ndim(low) and np.ndim(high) and np.shape(low) != np.shape(high):
                raise ValueError(
                    f"Box.low has shape {np.shape(low)} but Box.high has shape {np.shape(high)}. "
                    "Give both the same shape, or one number for all."
                )
            shape = np.shape(low) or np.shape(high)
        shape = tuple(int(d) for d in shape)
        for name, bound in (("low", low), ("high", high)):
            if np.isnan(np.asarray(bound, np.float64)).any():
                raise ValueError(f"Box.{name} holds NaN. Use -inf or inf for a side without a bound.")
            object.__setattr__(self, name, as_bound(bound, shape, narrow(dtype)))
        self.__check_init__()

    def __check_init__(self) -> None:
        if self.low.shape != self.high.shape or self.low.dtype != self.high.dtype:
            raise ValueError(
                f"Box.low is {self.low.dtype}{list(self.low.shape)} but Box.high is {self.high.dtype}"
                f"{list(self.high.shape)}. Give both the same shape and dtype."
            )
        if not (self.low <= self.high).all():
            at = tuple(int(i) for i in np.argwhere(~(self.low <= self.high))[0])
            raise ValueError(f"Box.low{list(at)} = {self.low[at]} is above Box.high{list(at)} = {self.high[at]}. Swap them.")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.low.shape

    @property
    def dtype(self) -> np.dtype:
        return self.low.dtype

    @property
    def is_bounded(self) -> bool:
        """Every side of every entry has a finite bound."""
        return bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())

    @property
    def is_image(self) -> bool:
        """uint8 over the whole range 0 to 255, with height, width and channels."""
        return self.dtype == np.uint8 and len(self.shape) == 3 and bool((self.low == 0).all() and (self.high == 255).all())

    def sample(self, *, key: Key[Array, ""], mask: Bool[Array, " mask_size"] | None = None) -> Shaped[Array, "..."]:
        self._no_mask(mask)
        if self.dtype.kind != "f":
            span = self.high.astype(np.int64) - self.low.astype(np.int64)
            if span.max(initial=0) > np.iinfo(np.int32).max - 1:  # wider than randint can count
                bits = jr.bits(key, self.shape, f"uint{8 * self.dtype.itemsize}").astype(self.dtype)
                return jnp.clip(bits, self.low, self.high)
            return (self.low + jr.randint(key, self.shape, 0, span.astype(np.int32) + 1)).astype(self.dtype)
        key_uniform, key_normal, key_above = jr.split(key, 3)
        has_low, has_high = np.isfinite(self.low), np.isfinite(self.high)
        low, high = np.where(has_low, self.low, 0), np.where(has_high, self.high, 0)
        unit = jr.uniform(key_uniform, self.shape, self.dtype)
        uniform = low * (1 - unit) + high * unit  # high - low may overflow, this does not
        tail = jr.exponential(key_above, self.shape, self.dtype)
        one_sided = jnp.where(has_low, low + tail, high - tail)
        unbounded = jr.normal(key_normal, self.shape, self.dtype)
        value = jnp.where(has_low & has_high, uniform, jnp.where(has_low | has_high, one_sided, unbounded))
        return jnp.clip(value, self.low, self.high)

    def contains(self, value: Any) -> bool:
        value = np.asarray(value)
        fits = value.dtype.kind in "biuf" and np.can_cast(narrow(value.dtype), self.dtype, "same_kind")
        return bool(value.shape == self.shape and fits and (self.low <= value).all() and (value <= self.high).all())

    def canonical(self) -> Shaped[Array, "..."]:
        return jnp.clip(jnp.zeros(self.shape, self.dtype), self.low, self.high)

    @property
    def flat_size(self) -> int:
        return int(np.prod(self.shape, dtype=int))

    def flatten(self, value: Any) -> Float[Array, " flat_size"]:
        return jnp.asarray(value, jnp.float32).reshape(-1)

    def __repr__(self) -> str:
        def short(bound: np.ndarray) -> str:
            return f"{bound.flat[0]}" if bound.size and (bound == bound.flat[0]).all() else np.array2string(bound, threshold=8)

        return f"Box({short(self.low)}, {short(self.high)}, {self.shape}, {self.dtype})"
