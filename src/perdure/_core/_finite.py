"""Whether numbers are finite: those of a policy before it is used or saved, those of a training while it runs."""

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Bool, PyTree

from ._errors import NonFiniteError
from ._tree import split_trainable


def nonfinite(tree: PyTree) -> str | None:
    """The first parameter that is not finite, or constant that is NaN, in words: `'actor.layers.0.weight'[1, 2] is nan`.

    None where all is well. Infinite constants, such as bounds, are well.
    """
    trained, rest = split_trainable(tree)
    for part, is_bad in ((trained, lambda array: ~np.isfinite(array)), (rest, np.isnan)):
        for path, leaf in jtu.tree_leaves_with_path(part):
            if is_floating(leaf):
                array = np.asarray(leaf)
                if (bad := is_bad(array)).any():
                    return f"'{jtu.keystr(path, simple=True, separator='.')}'{first_of(array, bad)}"
    return None


def is_floating(leaf: object) -> bool:
    """True for arrays of floating-point numbers, of JAX and of numpy."""
    return isinstance(leaf, jax.Array | np.ndarray | np.generic) and jax.dtypes.issubdtype(leaf.dtype, np.inexact)


def first_of(array: np.ndarray, bad: Bool[np.ndarray, "..."]) -> str:
    """Where the first bad number of an array is, and which: `[1, 2] is nan`."""
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{list(at) if at else ''} is {array[at]}"


def check_finite(
    tree: PyTree, what: str, *, allow_nonfinite: bool = False, otherwise: str = "allow_nonfinite=True"
) -> None:
    """Check a policy or module; `what` is about to happen to it: "saving x.safetensors". `otherwise` is how to have it anyway.

    Raises: NonFiniteError naming the number, unless `allow_nonfinite`.
    """
    if not allow_nonfinite and (found := nonfinite(tree)):
        raise NonFiniteError(
            f"{what}: {found}. Such a policy acts on nothing; take the last finite checkpoint, and look for the step where "
            f"the loss became nan. If it is wanted all the same: {otherwise}."
        )


@jax.jit
def all_finite(leaves: list[Array]) -> Bool[Array, ""]:
    """Whether every number of these floating-point arrays is finite: one answer, worked out where the arrays are."""
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all()
