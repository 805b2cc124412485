"""What files are made of: every registered class with its fields, names that are no more, functions, operators, formats."""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import perdure
from perdure._core import _registry, fields_of, has_fields, steps_of, version_of
from perdure.checkpoint import read_policy_header


def import_everything() -> None:
    """So that every class of ours is registered: all rooms, each of which imports its files."""
    for module in pkgutil.walk_packages(perdure.__path__, "perdure."):
        if module.ispkg and not module.name.startswith("perdure.export."):  # which need what they export to
            importlib.import_module(module.name)


def is_ours(value: Any) -> bool:
    return value.__module__.split(".")[0] in ("perdure", "equinox")


def fields(cls: type) -> list[str]:
    """The names of the fields in their order, with `*` where one is static."""
    return [f"{'*' * static}{name}" for name, static in fields_of(cls).items()]


def classes() -> dict[str, tuple[int, list[str]]]:
    """Registered name -> version and fields, of the classes that files hold."""
    held = {name: held[0] for name, held in _registry._holders["class"].items() if held}
    ours = {name: cls for name, cls in held.items() if is_ours(cls) and has_fields(cls) and not is_abstract(cls)}
    return {name: (version_of(name), fields(cls)) for name, cls in sorted(ours.items())}


def is_abstract(cls: type) -> bool:
    return cls.__name__.startswith("Abstract")


def retired() -> dict[str, int]:
    """Names that no class has any more -> how many steps they have."""
    ours = {name for name, package in _registry._retired.items() if package == "perdure"}
    return {name: len(steps_of(name)) for name in sorted(ours)}


def in_files(folder: Path) -> set[tuple[str, int]]:
    """The classes that the files of a folder hold, each with its version there."""
    descriptions: list[Any] = [
        read_policy_header(path).description for path in folder.rglob("*.safetensors") if is_policy(path)
    ]
    for path in folder.rglob("metadata.json"):
        head = json.loads(path.read_text())
        algorithm = {"class": head["algorithm"], "version": head.get("algorithm_version", 1)}
        descriptions += [algorithm, head["policy"], head["env"], head.get("state")]
    return {found for description in descriptions for found in classes_of(description)}


def is_policy(path: Path) -> bool:
    return not (path.parent / "metadata.json").exists()


def classes_of(node: Any) -> Iterator[tuple[str, int]]:
    """The classes in a description, with their versions."""
    if isinstance(node, dict) and isinstance(node.get("class"), str):
        yield node["class"], node.get("version", 1)
    for member in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from classes_of(member)


def functions() -> list[str]:
    return sorted(name for name, held in _registry._holders["function"].items() if held and is_named_by_us(held[0]))


def is_named_by_us(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).split(".")[0] in ("perdure", "jax", "equinox")


def operators() -> dict[str, list[str]]:
    """Operators of graphs -> their attributes."""
    from perdure.graph._operators import ATTRIBUTES

    return {name: list(attributes) for name, attributes in sorted(ATTRIBUTES.items())}


def formats() -> dict[str, Any]:
    """The formats of files that are read and written."""
    from perdure._core import _description, _serializable
    from perdure.checkpoint import _metadata, _policy_file
    from perdure.export import _manifest

    return {
        "description": _description.FORMAT,
        ".eqx": list(_serializable.FORMATS),
        "policy": [_policy_file.FORMAT],
        "checkpoint": list(_metadata.FORMATS),
        "manifest": _manifest.FORMAT,
    }
