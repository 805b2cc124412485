"""Trees of arrays: what of a policy is trained, and small helpers on trees."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree


class AbstractConstant(eqx.Module):
    """A module whose arrays are data, not parameters: running statistics, wiring masks.

    Its arrays are saved, loaded and exported with the policy that holds it, but no optimiser ever sees them.
    """


def owned(tree: Any) -> Any:
    """A copy that shares no memory: for a loop that uses up its argument, or of what such a loop will use up."""
    return jax.tree.map(lambda x: x.copy() if isinstance(x, jax.Array | np.ndarray) else x, tree)


def is_constant(node: Any) -> bool:
    return isinstance(node, AbstractConstant)


def is_inexact(leaf: Any) -> bool:
    is_shape = isinstance(leaf, jax.ShapeDtypeStruct) and jnp.issubdtype(leaf.dtype, jnp.inexact)
    return is_shape or eqx.is_inexact_array(leaf)


def split_trainable(tree: PyTree) -> tuple[PyTree, PyTree]:
    """`(parameters, rest)`: the floating-point arrays (or their shapes) outside every `AbstractConstant`, and all else.

    `eqx.combine` puts them together again. This is the only place that decides what is trained.
    """
    spec = jax.tree.map(lambda leaf: not is_constant(leaf) and is_inexact(leaf), tree, is_leaf=is_constant)
    return eqx.partition(tree, spec)


def select(condition: Bool[Array, ""], if_true: PyTree, if_false: PyTree) -> PyTree:
    """Leaf by leaf `if_true` where the scalar `condition` holds, else `if_false`; what is no array is taken from the first."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b) if eqx.is_array(a) else a, if_true, if_false)
