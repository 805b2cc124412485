"""Descriptions in words: a listing to read, and the fields in which two of them differ."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from ._files import sha256
from ._json import dumps_json

_MAX_TEXT = 120


def _short(text: str, node: Any) -> str:
    """`text`, or its beginning and a digest, so that texts differ whenever the values do."""
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}... (sha256 {sha256(dumps_json(node))[:12]})"


def _array_type(dtype: Any, shape: Any) -> str:
    return f"{dtype}[{','.join(map(str, shape if isinstance(shape, list) else [shape]))}]"


def _number(dtype: Any, entry: Any) -> str:
    """An entry in the digits that its dtype has: 0.1, not the 0.10000000149011612 of a float32 in JSON."""
    if dtype != "float32" or not isinstance(entry, float):
        return str(entry)
    with np.errstate(over="ignore"):  # the entry may be too large, in a forged file
        return str(np.float32(entry))


def _text(node: Any) -> str:
    """One value in words; for a class or container what it is, without its members. Total: files may hold anything."""
    match node:
        case {"class": name, "version": version}:
            return f"{name} (version {version})"
        case {"class": name}:
            return str(name)
        case {"default": value}:
            return f"{_text(value)} (from the class)"
        case {"leaf": "python", "dtype": dtype}:
            return f"a stored {dtype}"
        case {"leaf": "jax", "dtype": dtype, "shape": shape}:
            return _array_type(dtype, shape)
        case {"leaf": kind, "dtype": dtype, "shape": shape}:
            return f"{_array_type(dtype, shape)} ({kind})"
        case {"array": dtype, "shape": shape, "all": entry}:
            return f"{_array_type(dtype, shape)} all {_number(dtype, entry)}"
        case {"array": dtype, "shape": shape, "values": list(entries)}:
            return f"{_array_type(dtype, shape)} [{', '.join(_number(dtype, entry) for entry in entries)}]"
        case {"scalar": dtype, "value": entry}:
            return f"{dtype} {_number(dtype, entry)}"
        case {"list": list(members)}:
            return f"a list of {len(members)}"
        case {"dict": dict(members)}:
            return f"a dict of {', '.join(map(repr, members))}" if members else "an empty dict"
        case list():
            return f"a tuple of {len(node)}"
        case {"partial": function}:
            return f"partial of {_text(function)}"
        case {"function": name}:
            return repr(name)
        case {"float": text} | {"int": text}:
            return str(text)
        case {"bytes": text}:
            return f"bytes {text}"
        case {"dtype": name}:
            return f"dtype {name}"
        case dict():
            return dumps_json(node).decode()
    return repr(node)


def _members(node: Any, path: str) -> list[tuple[str, Any]]:
    match node:
        case {"class": _, "fields": list(pairs)}:
            good = [pair for pair in pairs if isinstance(pair, list) and len(pair) == 2]
            return [(f"{path}.{name}", member) for name, member in good]
        case {"partial": _, "arguments": list(arguments), "keywords": dict(keywords)}:
            positional = [(f"{path}.args[{i}]", member) for i, member in enumerate(arguments)]
            return positional + [(f"{path}.{name}", member) for name, member in keywords.items()]
        case {"list": list(members)} | list(members):
            return [(f"{path}[{i}]", member) for i, member in enumerate(members)]
        case {"dict": dict(members)}:
            return [(f"{path}[{name!r}]", member) for name, member in members.items()]
    return []


def listing(description: Any, *, root: str = "policy") -> Iterator[tuple[str, str]]:
    """`(path, value in words)` of all that is described, root first: `("policy.layers[0].bias", "float32[64]")`."""
    yield root, _short(_text(description), description)
    for path, member in _members(description, root):
        yield from listing(member, root=path)


def differences(expected: Any, found: Any, limit: int = 5, *, root: str = "policy") -> list[str]:
    """The first `limit` fields in which the description in a file (`found`) is not the `expected`, with both values.

    `policy.layers[1].weight: file has float32[64,64], this policy needs float32[32,32]`
    """
    lines = _differences(expected, found, root, root.split(".")[0])
    shown = list(islice(lines, limit))
    more = sum(1 for _ in lines)
    return shown + ([f"and {more} more"] if more else [])


def _differences(expected: Any, found: Any, path: str, root: str) -> Iterator[str]:
    if dumps_json(expected) == dumps_json(found):  # as JSON, since True == 1 == 1.0 in Python
        return
    need, have = (_short(_text(node), node) for node in (expected, found))
    verb = "needs" if isinstance(expected, dict) and "leaf" in expected else "has"
    if need != have:
        yield f"{path}: file has {have}, this {root} {verb} {need}"
    ours, theirs = _members(expected, path), _members(found, path)
    if need == have and not ours and not theirs:  # only in a forged file
        yield f"{path}: file has {dumps_json(found).decode()[:_MAX_TEXT]}, this {root} has {need}"
    same_kind = type(expected) is type(found) and (not isinstance(expected, dict) or expected.keys() == found.keys())
    if not same_kind or (isinstance(expected, dict) and expected.get("class") != found.get("class")):
        return  # another thing altogether; its members say nothing
    our_names, their_members = dict(ours), dict(theirs)
    for name, member in ours:
        if name in their_members:
            yield from _differences(member, their_members[name], name, root)
        elif need == have:  # a tuple of another length has been reported as such
            yield f"{name}: file has nothing, this {root} has {_text(member)}"
    if need == have:
        yield from (f"{n}: file has {_text(m)}, this {root} has nothing" for n, m in theirs if n not in our_names)
    order, file_order = [name for name, _ in ours], [name for name, _ in theirs]
    if order != file_order and sorted(order) == sorted(file_order) and "class" in expected:
        yield f"{path}: file has the fields in the order {', '.join(file_order)}, this {root} has {', '.join(order)}"
