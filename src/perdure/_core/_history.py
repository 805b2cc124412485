"""What classes were before, so that the files of then load now.

A description (see `_description`) says of each class which version it was of: 1 + the number of its upgrades, where 1 is not
written. Before anything is built, every class in a file is brought to the version of today by its steps (see `_steps`), from
the outside to the inside: a step sees its parts as the file has them, never as today's code has them, so a step that is right
once stays right. Nothing that a file says chooses a function: steps belong to names, as classes do.

    @register(upgrades=[added(gain=1.0), renamed(w="weight")])       # this class is of version 3
    class Layer(eqx.Module): ...

    retired("OldLayer", became("Layer", version=3))                  # a name that no class has any more
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from perdure import __version__

from ._description import fields_of, is_described_version
from ._errors import FileFormatError
from ._leaves import escape
from ._registry import home_of, installed_version, lookup, steps_of, version_of
from ._steps import Instance, Leaf, leaf

NOBODY: Mapping[str, str] = MappingProxyType({})
_MOST = 1000  # steps of one class in one file, so that names which become each other end


def upgraded(
    description: Any,
    arrays: Mapping[str, np.ndarray],
    *,
    root: str = "policy",
    written_by: Mapping[str, str] = NOBODY,
) -> tuple[Any, Mapping[str, np.ndarray]]:
    """The description and the arrays by path as the classes of today would have written them.

    `written_by` are the packages that wrote the file, with their versions. What is malformed stays as it is, for `rebuild`
    to refuse.

    Raises: FileFormatError for a version that is later than today's, with what to install, or fields that are not those of
    the version.
    """
    if is_current(description):
        return description, arrays
    moved: dict[str, np.ndarray] = {}
    try:
        new = _unbind(_bring(_bind(description, (), arrays), (root,), written_by), (), moved)
    except RecursionError as error:  # only in a forged file
        raise FileFormatError(f"{root} is nested too deep.") from error
    claimed = {path for path, _ in leaf_nodes(description)}
    return new, {**{path: array for path, array in arrays.items() if path not in claimed}, **moved}


def leaf_nodes(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """`(path, description)` of each leaf, in the order of the leaves."""
    match node:
        case {"leaf": _}:
            yield ".".join(path), node
        case {"class": str(), "fields": list(pairs)} if _are_pairs(pairs):
            for name, member in pairs:
                yield from leaf_nodes(member, (*path, escape(name)))
        case {"dict": dict(members)}:
            for name in sorted(members):
                yield from leaf_nodes(members[name], (*path, escape(name)))
        case {"list": list(members)} | list(members):
            for i, member in enumerate(members):
                yield from leaf_nodes(member, (*path, str(i)))


def has_history(node: Any) -> bool:
    """True if a class in a description has been changed since its first version."""
    members = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return (isinstance(node, dict) and "class" in node and "version" in node) or any(map(has_history, members))


def classes_in(node: Any) -> set[str]:
    """The names of all classes in a description."""
    members = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    own = {node["class"]} if isinstance(node, dict) and isinstance(node.get("class"), str) else set()
    return own.union(*map(classes_in, members))


def packages_of(description: Any) -> dict[str, str]:
    """The packages that define the classes in a description, with the versions that are installed: what to install to read it.

    Modules that no package brings have no version, and so are left out.
    """
    homes = {home_of(name) for name in classes_in(description)} - {"perdure", "equinox", "jax"}
    found = {home: installed_version(home) for home in sorted(homes)}
    return {"perdure": __version__, **{home: version for home, version in found.items() if version is not None}}


def _are_pairs(pairs: list) -> bool:
    named = all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs)
    return named and len({pair[0] for pair in pairs}) == len(pairs)


def is_current(node: Any) -> bool:
    """True if every class in a description is of the version of today."""
    if isinstance(node, list):
        return all(map(is_current, node))
    if not isinstance(node, dict):
        return True
    same = not isinstance(node.get("class"), str) or node.get("version", 1) == version_of(node["class"])
    return same and all(map(is_current, node.values()))


def _inside(node: Any, path: tuple[str, ...], change: Callable[[Any, tuple[str, ...]], Any]) -> Any:
    """A copy of `node` with its members changed, each of which gets its path."""
    match node:
        case Instance(fields=fields):
            named = {name: change(member, (*path, escape(name))) for name, member in fields.items()}
            return dataclasses.replace(node, fields=named)
        case {"list": list(members), **rest} if not rest:
            return {"list": _inside(members, path, change)}
        case {"dict": dict(members), **rest} if not rest:
            return {"dict": {name: change(member, (*path, escape(name))) for name, member in members.items()}}
        case dict():
            return {name: change(member, ()) for name, member in node.items()}  # static: there are no leaves in it
        case list():
            return [change(member, (*path, str(i))) for i, member in enumerate(node)]
    return node


def _bind(node: Any, path: tuple[str, ...], arrays: Mapping[str, np.ndarray]) -> Any:
    """A copy with an `Instance` for each class and a `Leaf` for each leaf."""
    match node:
        case {"leaf": _}:
            return Leaf(node, arrays.get(".".join(path)))
        case {"class": str(name), "fields": list(pairs), **rest} if _are_pairs(pairs) and is_described_version(rest):
            node = Instance(name, dict(map(tuple, pairs)), node.get("version", 1))
    return _inside(node, path, functools.partial(_bind, arrays=arrays))


def _unbind(node: Any, path: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Any:
    """The inverse of `_bind`; the data of each leaf goes to `arrays`, by its path."""
    if isinstance(node, Leaf):
        if node.array is not None:
            arrays[".".join(path)] = node.array
        return node.node
    node = _inside(node, path, functools.partial(_unbind, arrays=arrays))
    if not isinstance(node, Instance):
        return node
    version = {"version": node.version} if node.version > 1 else {}
    return {"class": node.name, "fields": [list(pair) for pair in node.fields.items()], **version}


def _bring(node: Any, path: tuple[str, ...], written_by: Mapping[str, str], static: bool = False) -> Any:
    if not isinstance(node, Instance):
        static = static or (isinstance(node, dict) and not node.keys() <= {"list", "dict"})
        return _inside(node, path, functools.partial(_bring, written_by=written_by, static=static))
    node, is_static = _as_of_today(to_date(node, ".".join(path), written_by), static)
    fields = {
        name: _bring(member, (*path, escape(name)), written_by, static or is_static.get(name, True))
        for name, member in node.fields.items()
    }
    return dataclasses.replace(node, fields=fields)


def to_date(instance: Instance, where: str, written_by: Mapping[str, str] = NOBODY) -> Instance:
    """The same of the version of today; its parts stay as they are.

    Raises: FileFormatError as `upgraded`.
    """
    for _ in range(_MOST):
        name, version = instance.name, instance.version
        if version == version_of(name):
            return instance
        if version > version_of(name):
            raise FileFormatError(f"{where}: {later(name, version, written_by)}")
        try:
            instance = steps_of(name)[version - 1](dataclasses.replace(instance, fields=dict(instance.fields)))
        except Exception as error:  # the step may be a user's, and what it gets is the file's
            raise FileFormatError(
                f"{where}: the file has {name[:200]} in version {version}, but not as that version was: {error!r:.200}."
            ) from error
        if instance.name == name:
            instance = dataclasses.replace(instance, version=version + 1)
    raise FileFormatError(f"{where}: the history of {instance.name[:200]} goes in a circle. Mend its upgrades.")


def later(name: str, version: int, written_by: Mapping[str, str]) -> str:
    """What to say of a class in a version that is not known here: the package to install, in the version that wrote it."""
    package = home_of(name)
    told = f"the file has {name[:200]} in version {version}, and this process knows version {version_of(name)}. "
    if package != "perdure" and installed_version(package) is None:
        return f"{told}Update the module {package}, which defines it."
    found = written_by.get(package, "")
    is_version = re.fullmatch(r"[0-9][0-9A-Za-z.+!-]{0,40}", found)
    wanted = f'"{package}>={found}"' if is_version else f"--upgrade {package}"
    return f"{told}Install a newer {package}: pip install {wanted}."


def _as_of_today(instance: Instance, static: bool) -> tuple[Instance, Mapping[str, bool]]:
    """With the fields in the order of the class, which is that of its leaves, and numbers as leaves where it has leaves; and
    which of its fields are static.

    One of a class that is not registered stays as it is.
    """
    try:
        is_static = fields_of(lookup(instance.name, "class"))
    except (FileFormatError, TypeError):
        return instance, {}
    order = {name: i for i, name in enumerate(is_static)}
    fields = {}
    for name, node in sorted(instance.fields.items(), key=lambda pair: order.get(pair[0], len(order))):
        number = isinstance(node, bool | int | float) and not static and not is_static.get(name, True)
        fields[name] = leaf(node) if number else node
    return dataclasses.replace(instance, fields=fields), is_static
