"""Steps of the history of a class: pure functions from a class as a file has it to the class one version later.

A step sees the fields of its class, and the parts in them, as the file has them. A leaf travels with its data: whoever moves a
node has moved the array.

Targets and the moments of optimisers are described as the module they belong to, with None for each leaf that is not trained.
So a step of one's own meets None where it expects a leaf, and leaves it alone, as those here do.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from ._description import describe_float
from ._leaves import describe_leaf, leaf_to_numpy
from ._registry import is_registered, name_of


@dataclasses.dataclass
class Instance:
    """A class in a file: its fields are nodes of the description, in which classes are instances and leaves have data."""

    name: str
    fields: dict[str, Any]
    version: int = 1


class Leaf(NamedTuple):
    """A leaf in a file, wherever it is moved."""

    node: dict[str, Any]  # as `describe_leaf` gives it
    array: np.ndarray | None  # None where the file has no data for it, which `rebuild` refuses


Upgrade = Callable[[Instance], Instance]


def node_of(value: Any) -> Any:
    """How a step says a value: plain ones and registered functions as they are described, arrays of JAX and numpy as leaves.

    Classes are given as `Instance`, by name, fields and version, since what today's constructor makes may change.

    Raises: TypeError for anything else.
    """
    if isinstance(value, Instance | Leaf):
        return value
    if isinstance(value, jax.Array | np.ndarray):
        return leaf(value)
    if isinstance(value, tuple):
        return [node_of(member) for member in value]
    if isinstance(value, float):
        return describe_float(value)
    if value is None or isinstance(value, int | str):
        return value
    if callable(value) and is_registered(value) and not isinstance(value, type):
        return {"function": name_of(value)}
    raise TypeError(
        f"a step adds {type(value).__name__} {str(value)[:80]}, which it cannot say. Give None, a number, text, a tuple of "
        "these, an array, a registered function, or an Instance with the class's name, fields and version."
    )


def leaf(value: Any) -> Leaf:
    """An array of JAX or numpy that was not in the file."""
    return Leaf(describe_leaf(value), leaf_to_numpy(value))


def added(**fields: Any) -> Upgrade:
    """Fields that were not there, with what the class did without them. See `node_of` for what they may be."""
    nodes = {name: node_of(value) for name, value in fields.items()}

    def upgrade(instance: Instance) -> Instance:
        if there := nodes.keys() & instance.fields.keys():
            raise KeyError(f"{min(there)!r} is there already")
        return dataclasses.replace(instance, fields={**instance.fields, **nodes})

    return upgrade


def removed(*fields: str) -> Upgrade:
    """Fields that nothing reads any more."""

    def upgrade(instance: Instance) -> Instance:
        for name in fields:
            del instance.fields[name]
        return instance

    return upgrade


@dataclasses.dataclass(frozen=True)
class Renamed:
    """Fields by their old names, with the new ones."""

    names: Mapping[str, str]

    def __call__(self, instance: Instance) -> Instance:
        if missing := self.names.keys() - instance.fields.keys():
            raise KeyError(min(missing))
        fields = {self.names.get(name, name): node for name, node in instance.fields.items()}
        return dataclasses.replace(instance, fields=fields)


def renamed(**fields: str) -> Upgrade:
    """Fields by their old names, with the new ones: `renamed(w="weight")`."""
    return Renamed(fields)


@dataclasses.dataclass(frozen=True)
class Reordered:
    """The same fields in another order than `former`."""

    former: tuple[str, ...]

    def __call__(self, instance: Instance) -> Instance:
        return instance


def reordered(*former: str) -> Upgrade:
    """The same fields in another order, which is that of the leaves; `former` are the names in the order of before.

    Arrays are found by name whatever the order. Without `former` the sums of training over all parameters are in the new order,
    so that a training goes on with other last bits; with it they stay as they were (see `_leaf_order`).
    """
    return Reordered(former)


def changed(**functions: Callable[[np.ndarray], Any]) -> Upgrade:
    """Leaves with other data, such as `changed(weight=np.transpose)`; one that is None, as in a target, stays None."""

    def upgrade(instance: Instance) -> Instance:
        for name, function in functions.items():
            if isinstance(old := instance.fields[name], Leaf):
                if old.array is None:
                    raise KeyError(f"{name!r} has no data")
                array = np.asarray(function(old.array))
                instance.fields[name] = Leaf({**old.node, "dtype": array.dtype.name, "shape": list(array.shape)}, array)
        return instance

    return upgrade


def learned(**dtypes: str) -> Upgrade:
    """Static numbers that are arrays of JAX now: `learned(epsilon="float32")`."""

    def upgrade(instance: Instance) -> Instance:
        for name, dtype in dtypes.items():
            array = np.asarray(instance.fields[name], dtype)
            instance.fields[name] = Leaf({"leaf": "jax", "dtype": dtype, "shape": list(array.shape)}, array)
        return instance

    return upgrade


def became(name: str, *, version: int = 1) -> Upgrade:
    """The same fields in a class of another name, in the version which that had then."""
    return lambda instance: Instance(name, instance.fields, version)
