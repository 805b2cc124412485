"""Spaces made of spaces."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, final

import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key

from perdure._core import register

from ._base import AbstractSpace


def check_member(where: str, space: object) -> None:
    if not isinstance(space, AbstractSpace):
        raise TypeError(
            f"{where} is {type(space).__name__}, not a Perdure space. "
            "Convert a Gymnasium space with perdure.space.from_gymnasium(space)."
        )


@register
@final
@dataclasses.dataclass(frozen=True, eq=False, init=False)
class Dict(AbstractSpace):
    """A dict of values, keys in sorted order (the order in which JAX flattens a dict).

    Raises: TypeError for a key that is no string or a member that is no space, ValueError if empty.
    """

    items: tuple[tuple[str, AbstractSpace], ...]

    def __init__(self, spaces: Mapping[str, AbstractSpace] | None = None, **named: AbstractSpace):
        items = {**(spaces or {}), **named}.items()
        object.__setattr__(self, "items", tuple(sorted(items, key=lambda item: str(item[0]))))
        self.__check_init__()

    def __check_init__(self) -> None:
        if not self.items:
            raise ValueError("Dict has no members. Give at least one: Dict(position=Box(-1, 1, (3,))).")
        for name, space in self.items:
            if not isinstance(name, str):
                raise TypeError(f"Dict key {name!r} is {type(name).__name__}, but keys are strings.")
            check_member(f"Dict[{name!r}]", space)

    @property
    def spaces(self) -> dict[str, AbstractSpace]:
        return dict(self.items)

    def __getitem__(self, name: str) -> AbstractSpace:
        return self.spaces[name]

    def sample(self, *, key: Key[Array, ""], mask: Bool[Array, " mask_size"] | None = None) -> dict[str, Any]:
        self._no_mask(mask)
        keys = jr.split(key, len(self.items))
        return {name: space.sample(key=k) for (name, space), k in zip(self.items, keys, strict=True)}

    def contains(self, value: Any) -> bool:
        same_keys = isinstance(value, Mapping) and set(value) == {name for name, _ in self.items}
        return same_keys and all(space.contains(value[name]) for name, space in self.items)

    def canonical(self) -> dict[str, Any]:
        return {name: space.canonical() for name, space in self.items}

    @property
    def flat_size(self) -> int:
        return sum(space.flat_size for _, space in self.items)

    def flatten(self, value: Any) -> Float[Array, " flat_size"]:
        return jnp.concatenate([space.flatten(value[name]) for name, space in self.items])


@register
@final
@dataclasses.dataclass(frozen=True, eq=False)
class Tuple(AbstractSpace):
    """A tuple of values.

    Raises: TypeError for a member that is no space, ValueError if empty.
    """

    spaces: tuple[AbstractSpace, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "spaces", tuple(self.spaces))
        self.__check_init__()

    def __check_init__(self) -> None:
        if not self.spaces:
            raise ValueError("Tuple has no members. Give at least one: Tuple([Discrete(3)]).")
        for i, space in enumerate(self.spaces):
            check_member(f"Tuple[{i}]", space)

    def __getitem__(self, index: int) -> AbstractSpace:
        return self.spaces[index]

    def sample(self, *, key: Key[Array, ""], mask: Bool[Array, " mask_size"] | None = None) -> tuple[Any, ...]:
        self._no_mask(mask)
        keys = jr.split(key, len(self.spaces))
        return tuple(space.sample(key=k) for space, k in zip(self.spaces, keys, strict=True))

    def contains(self, value: Any) -> bool:
        same_length = isinstance(value, Sequence) and len(value) == len(self.spaces)
        return same_length and all(space.contains(v) for space, v in zip(self.spaces, value, strict=True))

    def canonical(self) -> tuple[Any, ...]:
        return tuple(space.canonical() for space in self.spaces)

    @property
    def flat_size(self) -> int:
        return sum(space.flat_size for space in self.spaces)

    def flatten(self, value: Any) -> Float[Array, " flat_size"]:
        return jnp.concatenate([space.flatten(v) for space, v in zip(self.spaces, value, strict=True)])
