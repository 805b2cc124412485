"""The order in which training sums over the leaves of a module: that of the first version of each class.

The last bit of a sum over all parameters, such as the norm of all gradients, depends on their order. So that a training goes on
to the bit when a class has its fields in another order, the order of before is kept in its history: see `reordered`.
"""

import functools
from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ._description import fields_of
from ._registry import name_of, steps_of
from ._steps import Renamed, Reordered


@functools.lru_cache(maxsize=1024)
def first_order(cls: type) -> tuple[str, ...]:
    """The fields of a class, those that there were before it was reordered in the order of then, by today's names."""
    order: list[str] | None = None
    for step in steps_of(name_of(cls) or ""):
        if isinstance(step, Reordered) and order is None:
            order = list(step.former)
        if isinstance(step, Renamed) and order is not None:
            order = [step.names.get(name, name) for name in order]
    places = {name: place for place, name in enumerate(order or ())}
    return tuple(
        sorted(fields_of(cls), key=lambda name: places.get(name, len(places)))
    )  # stable: new ones as they come


def leaf_order(tree: PyTree) -> list[int]:
    """The places of the leaves in JAX's order, in the order of the first version."""
    leaves, structure = jax.tree.flatten(tree)
    return list(_in_order(jax.tree.unflatten(structure, range(len(leaves)))))


def _in_order(node: PyTree) -> Iterable[int]:
    if isinstance(node, eqx.Module):
        members = [getattr(node, name, None) for name in first_order(type(node)) if not fields_of(type(node))[name]]
    elif isinstance(node, tuple | list):
        members = list(node)
    else:
        return jax.tree.leaves(node)
    return [place for member in members for place in _in_order(member)]


def ravel(tree: PyTree) -> Array:
    """All leaves as one vector, in the order of the first version. Shapes: leaves of any shape to `(sum of sizes,)`."""
    leaves = jax.tree.leaves(tree)
    return jnp.concatenate([jnp.reshape(leaves[place], [-1]) for place in leaf_order(tree)])


def unravel(vector: Any, like: PyTree) -> PyTree:
    """The inverse of `ravel`: a tree like another one, with pieces of a vector of JAX or numpy, or of its shape."""
    leaves, structure = jax.tree.flatten(like)
    pieces, begin = dict[int, Any](), 0
    for place in leaf_order(like):
        leaf = leaves[place]
        if isinstance(vector, jax.ShapeDtypeStruct):
            pieces[place] = jax.ShapeDtypeStruct(leaf.shape, vector.dtype)
        else:
            pieces[place] = vector[begin : begin + leaf.size].reshape(leaf.shape)
        begin += leaf.size
    return jax.tree.unflatten(structure, [pieces[place] for place in range(len(leaves))])
