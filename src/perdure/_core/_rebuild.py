"""A module from its description and its leaves: the inverse of `describe`.

The description comes from a file and is hostile until checked: classes and functions only through the registry, field
names against the class, sizes before allocation. Objects are made without their constructors, as Equinox does when it
unflattens a tree; `__check_init__` then has its say.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import numpy as np

from ._description import (
    FLOATS,
    MAX_DEPTH,
    describe,
    describe_default,
    describe_entry,
    fields_of,
    fingerprint_of,
    has_fields,
    is_described_version,
    is_named_tuple,
)
from ._errors import FileFormatError
from ._history import NOBODY, upgraded
from ._json import dumps_json
from ._leaves import check_shape, dtype_named, escape, leaf_from_numpy, leaf_to_numpy, leaves_with_paths
from ._registry import lookup

MAX_STATIC_BYTES = 2**25  # of all static arrays together; a 1080p colour image has 6 million
_rebuilt: set[bytes] = set()  # fingerprints of what was rebuilt in this process before it was saved


def describe_to_save(tree: Any) -> tuple[Any, bytes]:
    """The description of `tree`, and its fingerprint, for a file that must load: what cannot be rebuilt is not saved.

    Raises: TypeError as `describe`, FileFormatError as `rebuild`.
    """
    description = describe(tree, registered_only=True)
    fingerprint = fingerprint_of(description)
    if fingerprint not in _rebuilt:
        rebuild(description, {path: leaf_to_numpy(leaf) for path, leaf in leaves_with_paths(tree)})
        _rebuilt.add(fingerprint)
    return description, fingerprint


def rebuild(
    description: Any,
    arrays: Mapping[str, np.ndarray],
    *,
    root: str = "policy",
    static: bool = False,
    written_by: Mapping[str, str] = NOBODY,
) -> Any:
    """The tree that `describe` saw, with the leaves in `arrays`, keyed by path as `leaves_with_paths` does.

    With `static` it is what stands in a static field, without leaves. Classes in an earlier version are brought to today's
    before, see `upgraded`.

    Raises: FileFormatError, whatever the description holds: for unknown classes and functions, later versions, fields that
    are not those of the class in its order, leaves that are missing, left over or of another dtype or shape, values a class
    refuses.
    """
    description, arrays = upgraded(description, arrays, root=root, written_by=written_by)
    builder = _Builder(arrays)
    tree = builder.build(description, root, (), static, MAX_DEPTH)
    if left := [name for name in arrays if name not in builder.used]:
        raise FileFormatError(f"{root}: {len(left)} arrays belong to no field, the first is {left[0][:80]!r}.")
    return tree


def _is_text_dict(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


class _Builder:
    def __init__(self, arrays: Mapping[str, np.ndarray]):
        self.arrays = arrays
        self.used: set[str] = set()
        self.static_bytes = 0

    def build(self, node: Any, where: str, path: tuple[str, ...], static: bool, depth: int) -> Any:
        """`where` is the place in words, for errors; `path` is the place in `arrays`."""
        if depth == 0:
            raise FileFormatError(f"{where[:80]} is nested more than {MAX_DEPTH} deep.")
        if isinstance(node, list):
            return tuple(self.sequence(node, where, path, static, depth))
        if node is None or isinstance(node, str):
            return node
        if isinstance(node, bool | int | float):
            if not static:
                raise FileFormatError(f"{where}: {node} is a static value, but the place is not static.")
            return node
        match node:
            case {"class": str(name), "fields": list(fields), **rest} if is_described_version(rest):
                return self.instance(name, fields, where, path, static, depth)
            case {"leaf": _} if not static:
                return self.leaf(node, where, path)
            case {"list": list(members), **rest} if not rest:
                return self.sequence(members, where, path, static, depth)
            case {"dict": dict(members), **rest} if not rest and _is_text_dict(members):
                return {
                    name: self.build(member, f"{where}[{name!r}]", (*path, escape(name)), static, depth - 1)
                    for name, member in members.items()
                }
            case {"partial": function, "arguments": list(arguments), "keywords": dict(keywords), **rest} if not rest:
                return self.partial(function, arguments, keywords, where, depth)
            case {"array": _} if static:
                return self.static_array(node, where)
            case {"float": _} | {"int": _} | {"scalar": _} if static:
                return plain(node, where)
        return (
            plain(node, where) if isinstance(node, dict) and not node.keys() & _STATIC_ONLY else _unknown(node, where)
        )

    def sequence(self, members: list, where: str, path: tuple[str, ...], static: bool, depth: int) -> list[Any]:
        return [
            self.build(member, f"{where}[{i}]", (*path, str(i)), static, depth - 1) for i, member in enumerate(members)
        ]

    def leaf(self, node: dict, where: str, path: tuple[str, ...]) -> Any:
        name = ".".join(path)
        if name not in self.arrays:
            raise FileFormatError(f"{where}: the file has no array {name[:200]!r}.")
        self.used.add(name)
        try:
            return leaf_from_numpy(self.arrays[name], node)
        except FileFormatError as error:
            raise FileFormatError(f"{where}: {error}") from error

    def instance(self, name: str, fields: list, where: str, path: tuple[str, ...], static: bool, depth: int) -> Any:
        try:
            cls = lookup(name, "class")
        except FileFormatError as error:
            raise FileFormatError(f"{where}: {error}") from error
        if not has_fields(cls):
            raise FileFormatError(f"{where}: the class {name!r} is no module, frozen dataclass or named tuple.")
        wanted = fields_of(cls)
        pairs = [
            tuple(pair) for pair in fields if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)
        ]
        found = [pair[0] for pair in pairs]
        if len(pairs) != len(fields) or found != list(wanted):  # also in another order, which is that of the leaves
            raise FileFormatError(
                f"{where}: the file has {name} with the fields {', '.join(found)[:200]}; this version of the class has "
                f"{', '.join(wanted)}. If the class was changed, say how: @register(upgrades=[...]), see perdure.utils."
            )
        values = {}
        for field, node in pairs:
            if isinstance(node, dict) and node.keys() == {"default"} and not is_named_tuple(cls):
                check_default(cls, field, node, where)
            else:
                part = (*path, escape(field))
                values[field] = self.build(node, f"{where}.{field}", part, static or wanted[field], depth - 1)
        try:
            return make(cls, values)
        except Exception as error:  # the class is the user's, so is the kind of its complaint
            raise FileFormatError(f"{where}: {name} refuses what the file has: {str(error)[:400]}") from error

    def partial(self, function: Any, arguments: list, keywords: dict, where: str, depth: int) -> Any:
        made = self.build(function, where, (), True, depth - 1)
        if not callable(made) or isinstance(made, eqx.Module):
            raise FileFormatError(f"{where}: a partial of {type(made).__name__}, which is no function.")
        positional = self.sequence(arguments, where, (), True, depth)
        named = {name: self.build(v, f"{where}.{name}", (), True, depth - 1) for name, v in keywords.items()}
        return functools.partial(made, *positional, **named)

    def static_array(self, node: dict, where: str) -> np.ndarray:
        dtype, shape = dtype_named(node["array"]), check_shape(node.get("shape"))
        size = math.prod(shape)
        self.static_bytes += size * dtype.itemsize
        if self.static_bytes > MAX_STATIC_BYTES:
            raise FileFormatError(f"{where}: static arrays of more than {MAX_STATIC_BYTES} bytes in one file.")
        match node:
            case {"all": entry, **rest} if rest.keys() == {"array", "shape"}:
                array = np.full(shape, number(entry, dtype, where), dtype)
            case {"values": list(entries), **rest} if rest.keys() == {"array", "shape"} and len(entries) == size:
                array = np.array([number(entry, dtype, where) for entry in entries], dtype).reshape(shape)
            case _:
                raise FileFormatError(f"{where}: a static array of shape {list(shape)} needs 'all' or {size} 'values'.")
        array.setflags(write=False)  # it may be shared by copies of the module, and spaces are hashed by it
        return array


_STATIC_ONLY = {"array", "scalar", "float", "int"}


def check_default(cls: type, field: str, node: dict, where: str) -> None:
    """Refuse a file that relies on another value of a field of the class than the class has."""
    try:
        same = dumps_json(node) == dumps_json(describe_default(cls, field))
    except TypeError:
        same = False
    if not same:
        raise FileFormatError(f"{where}.{field}: the file takes it from the class, which now has another value.")


def make(cls: type, values: dict[str, Any]) -> Any:
    """An instance of `cls` with these fields, checked by its `__check_init__`s but not by its constructor."""
    if is_named_tuple(cls):
        return tuple.__new__(cls, [values[field] for field in fields_of(cls)])
    instance: Any = object.__new__(cls)
    for field, value in values.items():
        object.__setattr__(instance, field, value)
    for parent in cls.__mro__:
        if "__check_init__" in parent.__dict__:
            parent.__dict__["__check_init__"](instance)
    return instance


def _unknown(node: Any, where: str) -> Any:
    keys = ", ".join(sorted(map(str, node)))[:80] if isinstance(node, dict) else type(node).__name__
    raise FileFormatError(f"{where}: a value described by {keys} is not known here.")


def plain(node: dict, where: str) -> Any:
    """Values without members, of one or two keys."""
    match node:
        case {"float": str(text), **rest} if not rest and text in FLOATS:
            return FLOATS[text]
        case {"int": str(text), **rest} if not rest and len(text) <= 4000:
            return _parsed(lambda: int(text, 16), text, where)
        case {"bytes": str(text), **rest} if not rest:
            return _parsed(lambda: bytes.fromhex(text), text, where)
        case {"dtype": name, **rest} if not rest:
            return dtype_named(name)
        case {"scalar": name, "value": entry, **rest} if not rest:
            dtype = dtype_named(name)
            return np.array(number(entry, dtype, where), dtype)[()]
        case {"function": str(name), **rest} if not rest:
            try:
                return lookup(name, "function")
            except FileFormatError as error:
                raise FileFormatError(f"{where}: {error}") from error
    return _unknown(node, where)


def _parsed(parse: Any, text: str, where: str) -> Any:
    try:
        return parse()
    except ValueError as error:
        raise FileFormatError(f"{where}: {text[:40]!r} is not hexadecimal.") from error


def number(entry: Any, dtype: np.dtype, where: str) -> bool | int | float:
    """One entry of a static array, of exactly the kind and range of `dtype`."""
    value: Any = FLOATS[entry] if isinstance(entry, str) and entry in FLOATS else entry
    wanted: Any = {"b": bool, "i": int, "u": int}.get(dtype.kind, float)
    if type(value) is wanted and dtype.kind != "c":
        try:
            with np.errstate(over="ignore"):
                exact = np.array(value, dtype).tolist()
        except OverflowError:
            exact = None
        if exact is not None and describe_entry(wanted(exact)) == describe_entry(value):
            return value
    raise FileFormatError(f"{where}: {str(entry)[:40]!r} is not an entry of a {dtype.name} array.")
