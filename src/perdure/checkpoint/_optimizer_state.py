"""The states of optimisers in a form of ours, so that no release of optax breaks a file.

    {"adam": {"steps": ..., "first_moment": ..., "second_moment": ...}, "schedule": {"steps": ...}}

One entry for each transformation that has a state, by what it does; moments have the tree of the parameters they belong to,
also where optax holds them as one vector (`optax.flatten`), so that each is found by the name of its parameter.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from perdure._core import FileFormatError, ravel, unravel

# The states of optax by the name of their class: what the transformation is called in files, and each of its fields. These
# names are part of the file format: add, never change. Another spelling of a release of optax is one more row.
_MOMENTS = {"count": "steps", "mu": "first_moment", "nu": "second_moment"}
NAMES: dict[str, tuple[str, Mapping[str, str]]] = {
    "ScaleByAdamState": ("adam", _MOMENTS),
    "ScaleByBeliefState": ("belief", _MOMENTS),
    "ScaleByLionState": ("lion", _MOMENTS),
    "ScaleByRmsState": ("rms", _MOMENTS),
    "ScaleByScheduleState": ("schedule", _MOMENTS),
    "TraceState": ("momentum", {"trace": "first_moment"}),
}


def is_state(node: Any) -> bool:
    """Whether it is the state of one transformation: they are named tuples."""
    return isinstance(node, tuple) and hasattr(node, "_fields")


def holds_states(node: Any) -> bool:
    """Whether the state of a transformation is in it; parameters, which are modules, are not looked into."""
    if is_state(node):
        return True
    members = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    return any(map(holds_states, members))


def is_flat(value: Any, parameters: PyTree) -> bool:
    """Whether it is one vector that stands for all parameters."""
    leaves = jax.tree.leaves(parameters)
    shapes = [leaf.shape for leaf in leaves]
    one = getattr(value, "shape", None) == (sum(leaf.size for leaf in leaves),)
    return one and isinstance(value, jax.Array | jax.ShapeDtypeStruct) and shapes != [value.shape]


class _Names:
    """The name of each transformation in turn; the second of one kind is `schedule_2`."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def take(self, state: Any) -> tuple[str, dict[str, str]]:
        """What it is called, and its fields: those of optax to ours."""
        kind = type(state).__name__
        name, fields = NAMES.get(kind, (kind.removesuffix("State"), {}))
        self.counts[name] = count = self.counts.get(name, 0) + 1
        return name if count == 1 else f"{name}_{count}", {field: fields.get(field, field) for field in state._fields}


def portable(state: Any, parameters: PyTree, names: _Names | None = None) -> dict[str, Any]:
    """The state of an optimiser of these parameters in our form; both may be shapes."""
    names, form = names or _Names(), dict[str, Any]()
    if is_state(state):
        name, fields = names.take(state)
        members = {ours: _portable_field(getattr(state, field), parameters) for field, ours in fields.items()}
        return {name: members} if jax.tree.leaves(members) else {}
    is_dict = isinstance(state, dict)
    for key, member in state.items() if is_dict else enumerate(state):
        if not holds_states(member):
            form |= {str(key): member} if jax.tree.leaves(member) else {}
        elif is_dict:
            form[str(key)] = portable(member, parameters)
        else:  # a chain, whose members are told apart by what they are
            form |= portable(member, parameters, names)
    return form


def _portable_field(value: Any, parameters: PyTree) -> Any:
    if holds_states(value):
        return portable(value, parameters)
    if not is_flat(value, parameters):
        return value
    return unravel(value if isinstance(value, jax.ShapeDtypeStruct) else np.asarray(value), parameters)


def restored(blank: Any, parameters: PyTree, form: Mapping[str, Any], names: _Names | None = None) -> Any:
    """The inverse of `portable`: the state of an optimiser shaped like `blank`.

    Raises: FileFormatError if the form is of another optimiser.
    """
    names = names or _Names()
    if is_state(blank):
        name, fields = names.take(blank)
        if not jax.tree.leaves(blank):
            return blank
        members = _member(form, name)
        values = {f: _restored_field(getattr(blank, f), parameters, _member(members, o)) for f, o in fields.items()}
        return blank._replace(**values)
    is_dict = isinstance(blank, dict)

    def member_at(key: Any, member: Any) -> Any:
        if not holds_states(member):
            return _member(form, str(key)) if jax.tree.leaves(member) else member
        return (
            restored(member, parameters, _member(form, str(key)))
            if is_dict
            else restored(member, parameters, form, names)
        )

    if is_dict:
        return {key: member_at(key, member) for key, member in blank.items()}
    return type(blank)(member_at(i, member) for i, member in enumerate(blank))


def _restored_field(blank: Any, parameters: PyTree, value: Any) -> Any:
    if holds_states(blank):
        return restored(blank, parameters, value)
    if is_flat(blank, parameters):
        return ravel(value)
    return value


def _member(form: Any, name: str) -> Any:
    if not isinstance(form, Mapping) or name not in form:
        raise FileFormatError(f"the state of the optimiser has no {name!r}, which the installed optax wants.")
    return form[name]
