"""What a policy has learned, as arrays by name, and back."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from numpy.typing import ArrayLike

from perdure._core import is_stored, leaves_with_paths, split_trainable

P = TypeVar("P", bound=PyTree)


def parameters_of(policy: PyTree, *, statistics: bool = False) -> dict[str, np.ndarray]:
    """Copies of the arrays that are trained, by their place: `actor.layers.0.weight`, as policy files have them.

    With `statistics` also the numbers that training does not move as parameters, such as those of its normalisers.
    """
    found = [split_trainable(policy)[0], *([split_trainable(policy)[1]] if statistics else [])]
    return {name: np.array(leaf) for tree in found for name, leaf in leaves_with_paths(tree) if is_real(leaf)}


def is_real(leaf: object) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating)


def with_parameters(policy: P, parameters: Mapping[str, ArrayLike]) -> P:
    """The policy with other values for everything that is trained.

    Raises: ValueError for a name too many or too few, for another shape, and for a number that is not finite.
    """
    trained, rest = split_trainable(policy)
    constants = {name: leaf for name, leaf in leaves_with_paths(rest) if is_real(leaf)}
    here = leaves_with_paths(trained)
    names = [name for name, _ in here]
    known = {*names, *constants}
    missing, unknown = [n for n in names if n not in parameters], [n for n in parameters if n not in known]
    if set(parameters) & constants.keys():  # all of them: half of the statistics would fit nothing
        missing += [n for n in constants if n not in parameters]
    if missing or unknown:
        raise ValueError(
            f"parameters lack {some(missing)} and have {some(unknown)} too many. Give what get_parameters() names."
        )
    values = [checked(name, leaf, parameters[name]) for name, leaf in here]
    if set(parameters) & constants.keys():
        new = iter([checked(n, x, parameters[n]) if is_real(x) else x for n, x in leaves_with_paths(rest)])
        rest = jax.tree.map(lambda leaf: next(new) if is_stored(leaf) else leaf, rest)
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
