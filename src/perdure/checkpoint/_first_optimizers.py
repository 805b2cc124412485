"""The states of optimisers in directories of format 1, told apart by parameter as format 2 has them (see `_optimizer_state`).

They stand there as optax had them, by path; those of PPO with one vector for all parameters, in the order of the policy's leaves.
As in `_first_format`, these are facts about files that exist: they never change.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from perdure._core import AbstractConstant, FileFormatError, leaf_nodes, lookup

Node = Any  # of a description, as JSON has it
_FLOATS = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
_CONSTANTS = ("Normalizer", "FixedNormalizer", "Mask")


class _Moment(NamedTuple):
    """The place of an array in the state of an optimiser of optax."""

    optimizer: str  # where the optimiser is: learner.critics_optimizer
    place: str  # of the transformation: 1.0
    field: str  # of its state: mu
    parameter: str  # 0.network.layers.0.weight; empty for a count, and for a vector of all parameters


_OPTIMIZER = re.compile(r"((?:learner\.)?\w*optimizer(?:_state)?)\.")
_ARRAY = re.compile(rf"{_OPTIMIZER.pattern}((?:\d+\.)*)(count|mu|nu|trace)(?:\.(.+))?")
_FIELDS = {"count": "steps", "mu": "first_moment", "nu": "second_moment", "trace": "first_moment"}


def by_parameter(head: Mapping[str, Any], arrays: Mapping[str, np.ndarray], today: Mapping[str, str]) -> dict[str, Any]:
    """The arrays, with those of optimisers by the paths of format 2 (see `_optimizer_state`)."""
    optimizers = {path: match[1] for path in arrays if (match := _OPTIMIZER.match(path))}
    known = {path: match for path in optimizers if (match := _ARRAY.fullmatch(path))}
    of_others = {optimizers[path] for path in optimizers.keys() - known.keys()}  # they were not as ours were
    found = {p: _Moment(*m.groups(default="")) for p, m in known.items() if optimizers[p] not in of_others}
    fields: dict[tuple[str, str], set[str]] = {}
    for moment in found.values():
        fields.setdefault(moment[:2], set()).add(moment.field)
    renamed: dict[str, Any] = {}
    for path, array in arrays.items():
        if path not in found:
            renamed[today.get(path, path)] = array
            continue
        moment = found[path]
        stage = _transformation(fields[moment[:2]], head["settings"].get("optimizer_name"))
        name = f"{moment.optimizer}.{stage}.{_FIELDS[moment.field]}"
        is_vector = not moment.parameter and moment.field != "count" and array.ndim == 1
        if is_vector:
            renamed |= {
                f"{name}.{parameter}": piece for parameter, piece in _pieces(head["policy"], array, path).items()
            }
        else:
            renamed[f"{name}.{moment.parameter}" if moment.parameter else name] = array
    return renamed


def _transformation(fields: set[str], optimizer_name: str | None) -> str:
    if fields == {"count"}:
        return "schedule"
    if "trace" in fields:
        return "momentum"
    if "mu" not in fields:
        return "rms"
    if "nu" not in fields:
        return "lion"
    return "belief" if optimizer_name == "adabelief" else "adam"


def _pieces(policy: Node, vector: np.ndarray, path: str) -> dict[str, np.ndarray]:
    """A vector of all parameters of a policy as arrays by parameter, in the order of the file's own classes."""
    shapes = {name: tuple(node["shape"]) for name, node in leaf_nodes(_trained(policy))}
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    if len(ends) == 0 or ends[-1] != vector.size:
        raise FileFormatError(f"{path} has {vector.size} numbers, but the parameters of the policy are others.")
    pieces = np.split(vector, ends[:-1])
    return {name: piece.reshape(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}


def _trained(node: Node) -> Node:
    """A description with None for all leaves that are not trained: what is no float, and what is in a constant."""
    match node:
        case {"leaf": kind, "dtype": str(dtype)}:
            return node if kind in ("jax", "numpy") and dtype in _FLOATS else None
        case {"class": name} if name in _CONSTANTS or _is_constant(name):
            return None
        case {"class": _, "fields": list(pairs)}:
            return {**node, "fields": [[name, _trained(inner)] for name, inner in pairs]}
        case {"dict": dict(members)}:
            return {"dict": {name: _trained(inner) for name, inner in members.items()}}
        case {"list": list(members)}:
            return {"list": [_trained(inner) for inner in members]}
        case list():
            return [_trained(inner) for inner in node]
    return node


def _is_constant(name: Any) -> bool:
    try:
        return issubclass(lookup(name, "class"), AbstractConstant)
    except FileFormatError:  # of the user's, and of another name now
        return False
