"""A training state as what files hold: arrays by path, which file each is in, and the description of it all.

The description is that of `perdure._core._description`, so whatever changes in a class is followed by its history (see
`perdure._core._history`) in policies, targets, critics, moments, memories and buffers alike. Nothing is matched by position.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from perdure._core import (
    FileFormatError,
    describe,
    describe_leaf,
    fields_of,
    has_fields,
    is_stored,
    leaf_from_numpy,
    leaf_nodes,
    leaves_with_paths,
    make,
    name_of,
    rebuild,
    split_trainable,
    upgraded,
)
from perdure.algorithm import Buffer, Priorities

from ._optimizer_state import holds_states, portable, restored

MODEL, OPTIMIZER, TRAINING, BUFFER = (
    "model_state.safetensors",
    "optim_state.safetensors",
    "train_state.safetensors",
    "buffer_state.safetensors",
)
State = TypeVar("State")


class Stored(NamedTuple):
    """A training state in the form of files."""

    tree: Any  # the state, with optimisers in our form
    files: dict[str, str]  # the file of everything whose path begins so; the longest beginning counts

    def file_of(self, path: str) -> str:
        parts = path.split(".")
        beginnings = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
        return next((self.files[beginning] for beginning in beginnings if beginning in self.files), TRAINING)

    def learned(self) -> dict[str, Any]:
        """What must be finite: policy, critics, targets, optimisers."""
        names = fields_of(class_of(self.tree))
        return {name: getattr(self.tree, name) for name in names if self.files[name] in (MODEL, OPTIMIZER)}


def class_of(module: Any) -> type:
    return type(module)


def stored(state: Any) -> Stored:
    """A training state, or one of shapes, as files hold it."""
    files: dict[str, str] = {}

    def part(module: Any, prefix: str) -> Any:
        fields = {}
        for name in fields_of(class_of(module)):
            value, path = getattr(module, name), f"{prefix}{name}"
            if isinstance(value, Buffer | Priorities):
                files[path] = BUFFER
            elif isinstance(value, tuple) and holds_states(value):
                files[path] = OPTIMIZER
                value = portable(value, _optimized(module, name))
            elif name == "learner":
                files[path] = MODEL
                value = part(value, f"{path}.")
            elif not prefix:
                files[path] = MODEL if name == "policy" else TRAINING
            fields[name] = value
        return _with(module, fields)

    return Stored(part(state, ""), files)


def without_buffer(form: Stored) -> Any:
    """The tree with None for the replay buffer and what belongs to it."""
    fields = {name: getattr(form.tree, name) for name in fields_of(class_of(form.tree))}
    return _with(form.tree, {name: None if form.files[name] == BUFFER else value for name, value in fields.items()})


def as_state(blank: State, filled: Any) -> State:
    """The inverse of `stored`: a state shaped like `blank`, from its form in files."""

    def part(module: Any, form: Any) -> Any:
        fields = {}
        for name in fields_of(class_of(module)):
            old, value = getattr(module, name), getattr(form, name)
            if isinstance(old, tuple) and holds_states(old):
                value = restored(old, _optimized(module, name), value)
            elif name == "learner":
                value = part(old, value)
            fields[name] = value
        return _with(module, fields)

    return part(blank, filled)


def _with(module: Any, fields: dict[str, Any]) -> Any:
    """The module with these values, without its constructor."""
    return make(class_of(module), fields)


def _optimized(module: Any, name: str) -> Any:
    """The parameters that the optimiser in a field of a state or learner is of: those of the policy, unless it says others."""
    of = name.removesuffix("_optimizer")
    return split_trainable(getattr(module, of if of != name and hasattr(module, of) else "policy"))[0]


def described(tree: Any, root: str = "state") -> Any:
    """The description of a state in the form of files; what files cannot describe is a tree of leaves by path.

    That is so for environments of others, whose states are plain classes of theirs.
    """
    try:
        node = describe(tree, root=root)
        if [path for path, _ in leaf_nodes(node)] == [path for path, _ in leaves_with_paths(tree)]:
            return node
    except (TypeError, ValueError):
        pass
    cls = class_of(tree)
    if has_fields(cls) and issubclass(cls, eqx.Module | tuple):
        kinds = fields_of(cls).items()
        pairs = [[n, None if static else described(getattr(tree, n), f"{root}.{n}")] for n, static in kinds]
        try:
            return {"class": name_of(cls), "fields": pairs}
        except ValueError:  # a class of the user's with a name of ours
            return {"dict": {name: node for name, node in pairs}}
    return tree_of_paths({path: describe_leaf(leaf) for path, leaf in leaves_with_paths(tree)})


def tree_of_paths(leaves: Mapping[str, Any]) -> Any:
    """Leaves by path as nested dicts, which have the same paths. One leaf alone, with an empty path, is itself."""
    if list(leaves) == [""]:
        return leaves[""]
    groups: dict[str, dict[str, Any]] = {}
    for path, node in leaves.items():
        first, _, rest = path.partition(".")
        groups.setdefault(first, {})[rest] = node
    return {"dict": {name: tree_of_paths(members) for name, members in groups.items()}}


class Today(NamedTuple):
    """What a file says of a training state, brought to the classes of today."""

    description: Any
    arrays: Mapping[str, np.ndarray]
    made: set[str]  # paths of arrays that no file has: steps made them


def of_today(
    description: Any,
    arrays: Mapping[str, np.ndarray],
    moments: set[str],
    form: Stored | None,
    written_by: Mapping[str, str],
) -> Today:
    """The training state of a file as the classes of today would have written it.

    `moments` are the paths of the optimisers' arrays in the file, `form` is the state of today. A parameter that a step has
    made of nothing begins with moments of zero: what it gives where all moments are zero is not of their making.
    """
    description = _pruned(description, arrays)
    today, moved = upgraded(description, arrays, root="state", written_by=written_by)
    known = set(map(id, arrays.values()))
    made = {path for path, array in moved.items() if id(array) not in known}
    if not made or form is None:
        return Today(today, moved, made)
    blank = {path: np.zeros_like(array) if path in moments else array for path, array in arrays.items()}
    _, of_nothing = upgraded(description, blank, root="state", written_by=written_by)
    zeroed = {path for path in made if form.file_of(path) == OPTIMIZER and of_nothing[path].any()}
    moved = {path: np.zeros_like(array) if path in zeroed else array for path, array in moved.items()}
    return Today(today, moved, made)


def _pruned(description: Any, arrays: Mapping[str, Any]) -> Any:
    """The description of a state with None for the fields of which no array was read, such as a buffer that is left out."""

    def part(name: str, node: Any) -> Any:
        paths = [path for path, _ in leaf_nodes(node, (name,))]
        return node if not paths or any(path in arrays for path in paths) else None

    match description:
        case {"class": _, "fields": list(pairs)}:
            return {**description, "fields": [[name, part(name, node)] for name, node in pairs]}
        case {"dict": dict(members)}:
            return {"dict": {name: part(name, node) for name, node in members.items()}}
    return description


def with_statics(tree: Any, node: Any) -> Any:
    """A part of a state, built by today's constructors, with the static fields that the file says instead of theirs.

    So a critic goes on with the activation that it was trained with, whatever is usual now. What is of another class than the
    file says, or of none that is registered, stays as it is.
    """
    match node:
        case {"class": name, "fields": list(pairs)} if isinstance(tree, eqx.Module) and name_of(type(tree)) == name:
            found = {field: member for field, member in pairs if field in vars(tree)}
            fields = {}
            for field, is_static in fields_of(class_of(tree)).items():
                if field in found and is_static and not _is_default(found[field]):
                    fields[field] = rebuild(found[field], {}, root=f"{name}.{field}", static=True)
                elif field in found and not is_static:
                    fields[field] = with_statics(getattr(tree, field), found[field])
            return replaced(tree, fields)
        case list(members) | {"list": list(members)} if type(tree) in (tuple, list) and len(members) == len(tree):
            return type(tree)(with_statics(value, member) for value, member in zip(tree, members, strict=True))
        case {"dict": dict(members)} if type(tree) is dict:
            return {key: with_statics(value, members.get(key)) for key, value in tree.items()}
    return tree


def _is_default(node: Any) -> bool:
    return isinstance(node, dict) and node.keys() == {"default"}


def replaced(module: Any, fields: Mapping[str, Any]) -> Any:
    """A module with other values in some fields, unchecked: a part of one that holds parameters alone passes no check."""
    new = object.__new__(type(module))
    for field, value in {**vars(module), **fields}.items():
        object.__setattr__(new, field, value)
    return new


def filled(blank: Stored, today: Today, *, has_buffer: bool) -> Any:
    """`blank`, a state of shapes in the form of files, with what a file says; without its buffer, that is zeros.

    What was made by a step, and is not wanted, is left out: a constant is wanted of a policy and not of its target.

    Raises: FileFormatError naming the first leaf that is missing, left over, or of another dtype or shape.
    """
    leaves, arrays = leaves_with_paths(blank.tree), today.arrays
    wanted = {path for path, _ in leaves if has_buffer or blank.file_of(path) != BUFFER}
    if missing := sorted(wanted - arrays.keys()):
        raise FileFormatError(f"{missing[0]} is missing from the files.")
    if left := sorted(arrays.keys() - {path for path, _ in leaves} - today.made):
        raise FileFormatError(f"{left[0]} is in the files, but this training has no such array.")
    values = []
    for path, leaf in leaves:
        try:
            node = describe_leaf(leaf)
            values.append(leaf_from_numpy(arrays[path], node) if path in wanted else jnp.zeros(leaf.shape, leaf.dtype))
        except FileFormatError as error:
            raise FileFormatError(f"{path}: {error}") from error
    rest = iter(values)
    tree = jax.tree.map(lambda x: next(rest) if is_stored(x) else x, blank.tree)
    match today.description:
        case {"class": _, "fields": list(pairs)}:  # environment and policy have been rebuilt already
            parts = {name: with_statics(getattr(tree, name), node) for name, node in pairs if hasattr(tree, name)}
            return replaced(tree, {name: part for name, part in parts.items() if name not in ("env", "policy")})
    return tree
