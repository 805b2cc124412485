"""A box in R^n: each bound finite or infinite. Images (uint8) and integer ranges too."""

import dataclasses
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key, Shaped, UInt32

from perdure._core import register

from ._base import AbstractSpace
from ._casts import held, plain


def narrow(dtype: Any) -> np.dtype:
    """The dtype that JAX computes with: 64-bit numbers become 32-bit ones."""
    dtype = np.dtype(dtype)
    return np.dtype({"float64": "float32", "int64": "int32", "uint64": "uint32"}.get(dtype.name, dtype))


def as_bound(bound: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """`bound` in `shape` and `dtype`, saturated where the dtype cannot hold it (1e308 in float32, inf in int32)."""
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    wide = np.broadcast_to(np.asarray(bound, np.float64), shape)
    finite = np.isfinite(wide) if dtype.kind == "f" else np.ones(shape, bool)
    array = np.where(finite, np.clip(wide, float(limits.min), float(limits.max)), wide).astype(dtype)
    array.setflags(write=False)
    return array


def integers_below(key: Key[Array, ""], end: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """Uniform in [0, end), where an `end` of 0 stands for 2^32.

    The upper half of the 64-bit product of random bits and `end` (Lemire 2019, arXiv:1805.10941, without rejection),
    from 16-bit halves. `jax.random.randint` prefers low numbers: twofold, for an `end` of three thousand million.
    """
    bits = jr.bits(key, end.shape, jnp.uint32)
    bits_high, bits_low, end_high, end_low = bits >> 16, bits & 0xFFFF, end >> 16, end & 0xFFFF
    middle = bits_high * end_low + (bits_low * end_low >> 16)
    carry = bits_low * end_high + (middle & 0xFFFF) >> 16
    return jnp.where(end == 0, bits, bits_high * end_high + (middle >> 16) + carry)


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
            if np.dtype(dtype).kind != "f" and (np.trunc(bound) != bound).any():
                raise ValueError(f"Box.{name} has a fraction, but its dtype is {np.dtype(dtype)}. Round it yourself.")
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
            raise ValueError(
                f"Box.low{list(at)} = {self.low[at]} is above Box.high{list(at)} = {self.high[at]}. Swap them."
            )

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
        whole_range = bool((self.low == 0).all() and (self.high == 255).all())
        return self.dtype == np.uint8 and len(self.shape) == 3 and whole_range

    def sample(self, *, key: Key[Array, ""], mask: Bool[Array, " mask_size"] | None = None) -> Shaped[Array, "..."]:
        self._no_mask(mask)
        if self.dtype.kind != "f":
            first, last = self.low.astype(np.int64), self.high.astype(np.int64)
            offset = integers_below(key, jnp.asarray((last - first + 1).astype(np.uint32)))
            value = jnp.asarray(first.astype(np.uint32)) + offset  # modulo 2^32, so negative ones come out right
            return (value.view(jnp.int32) if self.dtype.kind == "i" else value).astype(self.dtype)
        key_uniform, key_normal, key_above = jr.split(key, 3)
        has_low, has_high = np.isfinite(self.low), np.isfinite(self.high)
        low = jnp.asarray(np.where(has_low, self.low, 0))
        high = jnp.asarray(np.where(has_high, self.high, 0))
        unit = jr.uniform(key_uniform, self.shape, self.dtype)
        uniform = low * (1 - unit) + high * unit  # high - low may overflow, this does not
        tail = jr.exponential(key_above, self.shape, self.dtype)
        one_sided = jnp.where(has_low, low + tail, high - tail)
        unbounded = jr.normal(key_normal, self.shape, self.dtype)
        value = jnp.where(has_low & has_high, uniform, jnp.where(has_low | has_high, one_sided, unbounded))
        return jnp.clip(value, self.low, self.high)

    def contains(self, value: Any) -> bool:
        value = plain(value)
        if value.dtype == np.float64:  # the bounds were rounded to float32, so round the value as well
            with np.errstate(over="ignore"):
                value = value.astype(np.float32)
        fits = value.dtype.kind in "biuf" and np.can_cast(narrow(value.dtype), self.dtype, "same_kind")
        return bool(value.shape == self.shape and fits and (self.low <= value).all() and (value <= self.high).all())

    def canonical(self) -> Shaped[Array, "..."]:
        return jnp.clip(jnp.zeros(self.shape, self.dtype), self.low, self.high)

    @property
    def flat_size(self) -> int:
        return int(np.prod(self.shape, dtype=int))

    def flatten(self, value: Any) -> Float[Array, " flat_size"]:
        if self.dtype.kind != "f":
            limits = np.iinfo(self.dtype)
            value = held(f"Box of {self.dtype}", value, limits.min, limits.max)
        return jnp.asarray(value, jnp.float32).reshape(-1)

    def __repr__(self) -> str:
        def short(bound: np.ndarray) -> str:
            same = bound.size and (bound == bound.flat[0]).all()
            return f"{bound.flat[0]}" if same else np.array2string(bound, threshold=8)

        return f"Box({short(self.low)}, {short(self.high)}, {self.shape}, {self.dtype})"
