"""What every space offers: static data about the values that an observation or an action may take."""

import dataclasses
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float, Key


class AbstractSpace(ABC):
    """A set of values. Immutable and hashable; nothing in it is ever trained.

    A space describes *one* value; `jax.vmap` makes batches. `sample`, `flatten` and `canonical` work inside jit,
    `contains` is for the host. Subclasses are frozen dataclasses; equality and hash go by their fields.
    """

    @abstractmethod
    def sample(self, *, key: Key[Array, ""], mask: Bool[Array, " mask_size"] | None = None) -> Any:
        """A random value: uniform where the space is bounded, else exponential or normal, as in Gymnasium.

        `mask` bars the choices that are False; see `mask_size`.
        """

    @abstractmethod
    def contains(self, value: Any) -> bool:
        """True if `value` has this structure, shape and kind of number, and lies within the bounds."""

    @abstractmethod
    def canonical(self) -> Any:
        """One value, the same every time: its structure, shapes and dtypes are those of every value of the space."""

    @property
    @abstractmethod
    def flat_size(self) -> int:
        """Length of `flatten`."""

    @abstractmethod
    def flatten(self, value: Any) -> Float[Array, " flat_size"]:
        """One float32 vector: numbers as they are, choices one-hot, members of a Dict by their keys' order.

        Raises: ValueError for a choice, bit or integer that is none of the space's, where the value is known: within `jax.jit`
        it is not.
        """

    @property
    def mask_size(self) -> int:
        """Length of an action mask, one bool a choice, True where legal; 0 for a space without choices.

        Discrete: `n`. MultiDiscrete: its choices one component after the other. MultiBinary: `2 * n`, for each bit
        first "may be 0", then "may be 1" (as in sb3-contrib's MaskablePPO).
        """
        return 0

    def _no_mask(self, mask: Any) -> None:
        if mask is not None:
            raise ValueError(
                f"{type(self).__name__} takes no action mask, but one was given. "
                "Only Discrete, MultiDiscrete and MultiBinary spaces have choices to bar."
            )

    def _identity(self) -> tuple:
        values = (getattr(self, field.name) for field in dataclasses.fields(self))  # type: ignore[arg-type]
        return (
            type(self),
            *((v.shape, v.dtype.str, v.tobytes()) if isinstance(v, np.ndarray) else v for v in values),
        )

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, AbstractSpace) and self._identity() == other._identity())

    def __hash__(self) -> int:
        # Spaces are static fields of policies, so each call of a jitted function hashes them: remember the answer.
        if "_hash" not in self.__dict__:
            object.__setattr__(self, "_hash", hash(self._identity()))
        return self.__dict__["_hash"]
