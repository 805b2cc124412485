"""A Dict or Tuple space as a list of plain ones, and its values as a list of arrays."""

from collections.abc import Iterator
from typing import Any

from ._base import AbstractSpace
from ._composite import Dict, Tuple


def leaves_of(space: AbstractSpace, name: str) -> list[tuple[str, AbstractSpace]]:
    """The plain spaces of a space, with their names: those of a Dict by key, of a Tuple by position, after a dot."""
    if isinstance(space, Dict):
        return [leaf for key, member in space.items for leaf in leaves_of(member, f"{name}.{key}")]
    if isinstance(space, Tuple):
        return [leaf for i, member in enumerate(space.spaces) for leaf in leaves_of(member, f"{name}.{i}")]
    return [(name, space)]


def assemble(space: AbstractSpace, leaves: Iterator[Any]) -> Any:
    """A value of the space from an iterator over its leaves."""
    if isinstance(space, Dict):
        return {key: assemble(member, leaves) for key, member in space.items}
    if isinstance(space, Tuple):
        return tuple(assemble(member, leaves) for member in space.spaces)
    return next(leaves)


def flatten_value(space: AbstractSpace, value: Any) -> list[Any]:
    """The leaves of a value of the space, in the order of `leaves_of`."""
    if isinstance(space, Dict):
        return [leaf for key, member in space.items for leaf in flatten_value(member, value[key])]
    if isinstance(space, Tuple):
        return [leaf for member, v in zip(space.spaces, value, strict=True) for leaf in flatten_value(member, v)]
    return [value]
