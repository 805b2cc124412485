"""Parts that stay as they are while others learn."""

from collections.abc import Callable
from typing import Any, TypeVar, final

import equinox as eqx
import jax

from perdure._core import AbstractConstant, register

T = TypeVar("T")


@register
@final
class Frozen(AbstractConstant):
    """A module whose arrays no optimiser sees, and whose statistics stand still; it is used as the module itself is.

    Gradients flow through it to what stands before it. It is saved, loaded and exported as it stands.
    """

    module: eqx.Module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)  # type: ignore[operator]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "module":  # neither is there yet while it is made or copied
            raise AttributeError(name)
        return getattr(self.module, name)


def frozen(tree: T, where: Callable[[T], Any]) -> T:
    """`tree` with what `where` chooses frozen: `frozen(policy, lambda p: p.body)`, or `lambda p: (p.body.trunk, p.actor)`."""
    return eqx.tree_at(where, tree, replace_fn=Frozen)


def thawed(tree: T) -> T:
    """`tree` with all of it learning again."""

    def is_frozen(node: object) -> bool:
        return isinstance(node, Frozen)

    return jax.tree.map(lambda node: node.module if isinstance(node, Frozen) else node, tree, is_leaf=is_frozen)
