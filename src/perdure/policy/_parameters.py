"""What a policy has learned, as arrays by name, and back."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from numpy.typing import ArrayLike

from perdure._core import leaves_with_paths, split_trainable

P = TypeVar("P", bound=PyTree)


def parameters_of(policy: PyTree) -> dict[str, np.ndarray]:
    """Copies of the arrays that are trained, by their place: `actor.layers.0.weight`, as policy files have them."""
    trained, _ = split_trainable(policy)
    return {name: np.array(leaf) for name, leaf in leaves_with_paths(trained)}


def with_parameters(policy: P, parameters: Mapping[str, ArrayLike]) -> P:
    """The policy with other values for everything that is trained.

    Raises: ValueError for a name too many or too few, for another shape, and for a number that is not finite.
    """
    trained, rest = split_trainable(policy)
    here = leaves_with_paths(trained)
    names = [name for name, _ in here]
    missing, unknown = [n for n in names if n not in parameters], [n for n in parameters if n not in set(names)]
    if missing or unknown:
        raise ValueError(
            f"parameters lack {some(missing)} and have {some(unknown)} too many. Give what get_parameters() names."
        )
    values = [checked(name, leaf, parameters[name]) for name, leaf in here]
    return eqx.combine(jax.tree.unflatten(jax.tree.structure(trained), values), rest)


def some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "nothing"


def checked(name: str, leaf: jax.Array, value: ArrayLike) -> jax.Array:
    array = np.asarray(value)
    if array.shape != leaf.shape:
        raise ValueError(f"parameters['{name}'] is {array.shape}, this policy needs {leaf.shape}.")
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ValueError(
            f"parameters['{name}'] is {array.dtype} and must hold finite numbers. Look where it came from."
        )
    return jnp.array(array, leaf.dtype)
