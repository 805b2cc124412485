"""The canonical description of a module: everything about it but the values of its leaves, as JSON.

The one half of an inverse pair; `_rebuild` is the other. Its SHA-256 is the fingerprint in `.eqx` files. It depends on
no process, machine, hash seed, Python version or `repr`. Each value is one of

    null, true, 3, 0.5, "text"                                       itself
    [...]                                                            a tuple
    {"list": [...]}, {"dict": {...}}                                 a list, a dict
    {"float": "nan"}                                                 also "inf", "-inf", "-0.0"
    {"int": "0x..."}, {"bytes": "00ff"}, {"dtype": "float32"}        an integer beyond 64 bits, bytes, a numpy dtype
    {"scalar": "float32", "value": 0.5}                              a numpy scalar
    {"array": "float32", "shape": [3], "all": 0.0}                   a static numpy array whose entries are all equal
    {"array": "float32", "shape": [3], "values": [...]}              any other static numpy array
    {"function": "tanh"}                                             a registered function
    {"partial": ..., "arguments": [...], "keywords": {...}}          functools.partial of one
    {"class": "Box", "fields": [["low", ...], ...]}                  a module, frozen dataclass or named tuple; with
                                                                     "version": 2 where the class has a history
    {"default": 0.5}                                                 a field never set: the value is the class's own
    {"leaf": "jax", "dtype": "float32", "shape": [64, 4]}            a leaf, whose value is stored apart (see `_leaves`)

Numbers in static fields are values; Python numbers in other fields of a module are leaves. The fields of a class are
listed in their order, which is the order of the leaves.
"""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import equinox as eqx
import jax
import numpy as np

from ._errors import FileFormatError
from ._json import dumps_json
from ._leaves import describe_leaf, dtype_named, is_stored, name_of_dtype
from ._registry import is_registered, name_of, version_of

FORMAT = 1
MAX_DEPTH = 64
FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "-0.0": -0.0}


def is_named_tuple(cls: type) -> bool:
    return issubclass(cls, tuple) and hasattr(cls, "_fields")


def is_frozen_dataclass(cls: type) -> bool:
    return dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]


@functools.lru_cache(maxsize=1024)
def has_fields(cls: type) -> bool:
    """Whether files hold its instances by their fields: modules, frozen dataclasses, named tuples."""
    return issubclass(cls, eqx.Module) or is_frozen_dataclass(cls) or is_named_tuple(cls)


@functools.lru_cache(maxsize=1024)
def fields_of(cls: type) -> Mapping[str, bool]:
    """Field name -> whether it is static."""
    if is_named_tuple(cls):
        return MappingProxyType(dict.fromkeys(cls._fields, False))  # type: ignore[attr-defined]
    always = not issubclass(cls, eqx.Module)  # a plain dataclass, such as a space, is no tree: all of it is static
    fields = dataclasses.fields(cls)
    return MappingProxyType({field.name: always or bool(field.metadata.get("static", False)) for field in fields})


def fingerprint_of(description: Any) -> bytes:
    """The 32 bytes that stand for a description: SHA-256 of the canonical JSON of `[format number, description]`."""
    return hashlib.sha256(dumps_json([FORMAT, description])).digest()


def fingerprint(tree: Any) -> bytes:
    """The 32 bytes that stand for the structure of `tree`: equal if and only if the descriptions are."""
    return fingerprint_of(describe(tree))


def describe(tree: Any, *, root: str = "policy", registered_only: bool = False) -> Any:
    """The description of `tree`; arrays may be `jax.ShapeDtypeStruct`. Error messages call the tree `root`.

    Raises: TypeError for what files cannot hold, with its path and the mend: functions without a name, objects that
    are no module. With `registered_only`, also for classes that are not registered and so could not be rebuilt.
    """
    return _describe(tree, root, False, registered_only, MAX_DEPTH)


def is_described_version(rest: Mapping[Any, Any]) -> bool:
    """Whether what a class is described by, beside its name and fields, is nothing (version 1) or a later version."""
    version = rest.get("version", 2)
    return rest.keys() <= {"version"} and type(version) is int and version > 1  # True == 1 in Python


def describe_default(cls: type, name: str) -> Any:
    """What a field of `cls` that was never set is described by, or None if the class has no value for it."""
    return {"default": _describe(getattr(cls, name), name, True, False, MAX_DEPTH)} if hasattr(cls, name) else None


def _describe(value: Any, path: str, static: bool, registered_only: bool, depth: int) -> Any:
    if depth == 0:
        raise TypeError(f"{path} is nested more than {MAX_DEPTH} deep. Does it contain itself?")
    inner = functools.partial(_describe, registered_only=registered_only, depth=depth - 1)
    cls: type = type(value)
    if value is None or cls is str:
        return value
    if static and cls in (bool, int, float):
        return _describe_plain(value, path)
    if has_fields(cls):
        if registered_only and not is_registered(cls):
            raise TypeError(
                f"{path} is of the class {cls.__qualname__}, which is not registered, so no file of it could be loaded "
                "again. Decorate the class with @perdure.utils.register."
            )
        members = []
        for name, is_static in fields_of(cls).items():
            where = f"{path}.{name}"
            if is_named_tuple(cls) or name in vars(value):
                members.append([name, inner(getattr(value, name), where, static or is_static)])
            else:  # a constructor of its own left it at the class's value, so it is no leaf for JAX either
                members.append([name, {"default": inner(getattr(value, name), where, True)}])
        registered = name_of(cls)
        version = version_of(registered)
        return {"class": registered, "fields": members, **({"version": version} if version > 1 else {})}
    if not static and is_stored(value):
        return _described_leaf(value, path)
    if cls is tuple:
        return [inner(member, f"{path}[{i}]", static) for i, member in enumerate(value)]
    if cls is list:
        return {"list": [inner(member, f"{path}[{i}]", static) for i, member in enumerate(value)]}
    if cls is dict:
        _check_keys(value, path)
        return {"dict": {name: inner(member, f"{path}[{name!r}]", static) for name, member in value.items()}}
    if cls is functools.partial:
        _check_keys(value.keywords, path)
        return {
            "partial": inner(value.func, path, True),
            "arguments": [inner(member, f"{path}.args[{i}]", True) for i, member in enumerate(value.args)],
            "keywords": {name: inner(member, f"{path}.{name}", True) for name, member in value.keywords.items()},
        }
    return _describe_plain(value, path)


def _described_leaf(value: Any, path: str) -> dict[str, Any]:
    try:
        return describe_leaf(value)
    except TypeError as error:
        raise TypeError(f"{path}: {error}") from error


def _check_keys(members: dict, path: str) -> None:
    for name in members:
        if type(name) is not str:
            raise TypeError(f"{path} has the key {name!r}, a {type(name).__name__}. Files hold dicts with string keys.")
        try:
            name.encode("utf-8")
        except UnicodeEncodeError as error:
            raise TypeError(f"{path} has the key {name!r}, which has no UTF-8. Use ordinary text.") from error


def _describe_plain(value: Any, path: str) -> Any:
    """Values without members: numbers, text, static arrays, functions."""
    match value:
        case None | True | False:
            return value
        case np.generic() | np.ndarray():
            return _describe_numpy(value, path)
        case np.dtype():
            return {"dtype": _dtype_name(value, path)}
        case jax.Array() | jax.ShapeDtypeStruct():
            raise TypeError(f"{path} is a JAX array in a static place. Hold it in a field that is not static.")
    if type(value) is int:
        return value if abs(value) < 2**63 else {"int": hex(value)}
    if type(value) is float:
        return describe_float(value)
    if type(value) is str:
        return value
    if type(value) is bytes:
        return {"bytes": value.hex()}
    if callable(value) and not isinstance(value, type):
        name = name_of(value)
        if name is not None:
            return {"function": name}
        own = getattr(value, "__name__", "my_function")
        own = own if own.isidentifier() else "my_function"
        raise TypeError(
            f"{path} is a function without a registered name, so a file cannot say which one it is. "
            f'Name it first: perdure.utils.register({own}, name="{own}")'
        )
    raise TypeError(
        f"{path} is {value.__name__ + ', a class' if isinstance(value, type) else 'of type ' + type(value).__name__}, "
        "which files do not hold. Use an eqx.Module, a frozen dataclass, a tuple, list or dict, a number, a string, "
        "an array or a registered function (a dtype as np.dtype)."
    )


def describe_float(value: float) -> Any:
    if math.isfinite(value) and (value != 0 or math.copysign(1, value) > 0):
        return value
    return {"float": "-0.0" if value == 0 else repr(float(value))}


def _dtype_name(dtype: np.dtype, path: str) -> str:
    try:
        dtype_named(name_of_dtype(dtype))
    except FileFormatError as error:
        raise TypeError(f"{path}: {error}") from error
    return name_of_dtype(dtype)


def _describe_numpy(value: np.generic | np.ndarray, path: str) -> dict[str, Any]:
    name = _dtype_name(value.dtype, path)
    if value.dtype.kind == "c":
        raise TypeError(f"{path} is complex and static. Hold it in a field that is not static.")
    kind = {"b": bool, "i": int, "u": int}.get(value.dtype.kind, float)
    entries = [describe_entry(kind(entry)) for entry in np.asarray(value).ravel().tolist()]
    if isinstance(value, np.generic):
        return {"scalar": name, "value": entries[0]}
    node: dict[str, Any] = {"array": name, "shape": list(value.shape)}
    texts = {repr(entry) for entry in entries}  # repr, as NaN is not equal to itself and 0.0 is to -0.0
    return {**node, "all": entries[0]} if len(texts) == 1 else {**node, "values": entries}


def describe_entry(entry: bool | int | float) -> Any:
    """One entry of a static array: like `describe_float`, but "inf" for `{"float": "inf"}`, as there may be many."""
    described = describe_float(entry) if isinstance(entry, float) else entry
    return described["float"] if isinstance(described, dict) else described
