"""Spaces of gym and gymnasium of all ages, from their pickles.

Source: the `__getstate__` and fields of the classes in gym 0.17 to 0.26 and gymnasium 0.26 to 1.2: `shape` became
`_shape`, `Discrete` got a `start`, `MultiBinary.n` may be a number or a shape.
"""

from typing import NamedTuple

import numpy as np

from perdure._core import FileFormatError
from perdure.space import AbstractSpace, Box, Discrete, MultiBinary, MultiDiscrete

from .._pickle import Call, Node
from .._values import array_of, dtype_of, mapping_of, name_of, number_of, shape_of

_PACKAGES = ("gym", "gymnasium")


class SavedSpace(NamedTuple):
    """A space as the file has it: its images are channel first, its keys in the order of the network's input."""

    parts: tuple[tuple[str, AbstractSpace], ...]  # one part named "" for a space without keys
    is_dict: bool
    notes: tuple[str, ...]  # what could not be kept


def _kind(node: Node, where: str) -> tuple[str, dict[str, Node]]:
    """The name of the class of a space, and its fields."""
    path = name_of(node)
    package, _, kind = path.partition(".spaces.")
    if not isinstance(node, Call) or package not in _PACKAGES:
        raise FileFormatError(
            f"{where} is of the class {path[:120]!r}, which is no space of gym or gymnasium. Save the model with one."
        )
    return kind.rsplit(".", 1)[-1], mapping_of(node.state)


def _box(state: dict[str, Node]) -> Box:
    low, high = array_of(state["low"]), array_of(state["high"])
    shape = state.get("_shape", state.get("shape"))
    return Box(low, high, shape_of(shape) if shape is not None else low.shape, dtype_of(state["dtype"]))


def _start_note(where: str, start: np.ndarray) -> tuple[str, ...]:
    if not start.any():
        return ()
    return (f"{where}: start {start.tolist()} left out, as Stable-Baselines3 counts choices from 0",)


def _plain(node: Node, where: str) -> tuple[AbstractSpace, tuple[str, ...]]:
    """A space without members, and what of it could not be kept."""
    kind, state = _kind(node, where)
    try:
        match kind:
            case "Box":
                return _box(state), ()
            case "Discrete":
                start = np.asarray(number_of(state.get("start", 0)))
                return Discrete(int(number_of(state["n"]))), _start_note(where, start)
            case "MultiDiscrete":
                nvec = array_of(state["nvec"])
                if nvec.ndim != 1:
                    raise FileFormatError(f"nvec has the shape {list(nvec.shape)}, but only vectors are read.")
                start = array_of(state["start"]) if state.get("start") is not None else np.zeros(1)
                return MultiDiscrete(tuple(nvec.tolist())), _start_note(where, start)
            case "MultiBinary":
                return MultiBinary(tuple(np.atleast_1d(array_of(state["n"])).tolist())), ()
    except KeyError as error:
        raise FileFormatError(f"{where}: a {kind} without {error}.") from error
    except (FileFormatError, ValueError) as error:
        raise FileFormatError(f"{where}: {error}") from error
    raise FileFormatError(
        f"{where} is a {kind}, which Stable-Baselines3 has no networks for. "
        "Box, Discrete, MultiDiscrete and MultiBinary are read, and one Dict of them as an observation."
    )


def read_space(node: Node, where: str) -> SavedSpace:
    """The space that a node stands for.

    Raises: FileFormatError for any other class, and for spaces in spaces in spaces.
    """
    kind, state = _kind(node, where)
    if kind != "Dict":
        space, notes = _plain(node, where)
        return SavedSpace((("", space),), False, notes)
    members = mapping_of(state.get("spaces"))
    parts = {name: _plain(member, f"{where}[{name!r}]") for name, member in members.items()}
    if not parts:
        raise FileFormatError(f"{where} is a Dict without members.")
    notes = tuple(note for _, (_, notes) in parts.items() for note in notes)
    return SavedSpace(tuple((name, space) for name, (space, _) in parts.items()), True, notes)
