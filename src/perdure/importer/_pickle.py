"""An inert pickle machine: a pickle becomes plain containers and nodes, and nothing that it names is imported or called.

Where `pickle` would import a class, there is a `Global` with its name; where it would call something, a `Call` that says
what would have been called. `_values` turns the few that are harmless into what they stand for.

Source: the opcodes as Python's `pickletools` documents them, protocols 0 to 5.
"""

import dataclasses
import io
import pickletools
import warnings
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from perdure._core import FileFormatError

Node: TypeAlias = object  # a plain value, a container, or one of the records below: whoever is given one has to look
MAX_OPCODES = 500_000  # a network of a hundred layers has twenty thousand


class Global(NamedTuple):
    """A name that a pickle would have imported."""

    module: str
    name: str

    @property
    def path(self) -> str:
        return f"{self.module}.{self.name}"


@dataclasses.dataclass(eq=False)
class Call:
    """What would have been called to make an object, and what would have been done to the object afterwards."""

    function: Node
    arguments: tuple[Node, ...]
    keywords: dict[Node, Node] = dataclasses.field(default_factory=dict)
    state: Node = None  # for `__setstate__`
    items: list[Node] = dataclasses.field(default_factory=list)  # for `append` or `add`
    pairs: list[tuple[Node, Node]] = dataclasses.field(default_factory=list)  # for `__setitem__`


@dataclasses.dataclass(frozen=True, eq=False)
class Persistent:
    """An object that is stored outside of the pickle, under this id."""

    id: Node


@dataclasses.dataclass(frozen=True, eq=False)
class OpaqueKey:
    """A key of a dict or member of a set that is not a plain one."""

    value: Node


_PUSHED = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_EMPTY: dict[str, type] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_TO_MARK: dict[str, Callable[[list[Node]], Node]] = {
    "TUPLE": tuple,
    "LIST": list,
    "FROZENSET": lambda members: frozenset(map(_key, members)),
}


def _key(value: Node) -> Node:
    """`value`, if its hash is quick and does not collide with others' by design; else a wrapper that hashes by identity.

    Hashing a tuple that is nested a million deep would end the process.
    """
    plain = value is None or isinstance(value, str | bytes | bool | Call)
    is_global = isinstance(value, Global) and isinstance(value.module, str)
    return value if plain or is_global or (type(value) is int and abs(value) < 2**60) else OpaqueKey(value)


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Node] = []
        self.marks: list[list[Node]] = []  # the stacks that MARK has put aside
        self.memo: dict[Node, Node] = {}

    def to_mark(self) -> list[Node]:
        """What lies above the last mark, which is taken away with it."""
        members, self.stack = self.stack, self.marks.pop()
        return members

    def step(self, opcode: str, argument: Node) -> None:
        stack = self.stack
        if opcode in _PUSHED:
            stack.append(argument)
        elif opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode])
        elif opcode in _EMPTY:
            stack.append(_EMPTY[opcode]())
        elif opcode in _TUPLES:
            count = _TUPLES[opcode]
            if len(stack) < count:
                raise IndexError
            stack[-count:] = [tuple(stack[-count:])]
        elif opcode in _TO_MARK:
            members = self.to_mark()
            self.stack.append(_TO_MARK[opcode](members))
        elif opcode in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if opcode == "MEMOIZE" else argument] = stack[-1]
        elif opcode in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif opcode == "MARK":
            self.marks.append(stack)
            self.stack = []
        elif opcode == "DUP":
            stack.append(stack[-1])
        elif opcode == "POP":
            stack.pop() if stack else self.to_mark()
        elif opcode == "POP_MARK":
            self.to_mark()
        elif opcode not in ("PROTO", "FRAME", "STOP"):
            self.call(opcode, argument)

    def call(self, opcode: str, argument: Node) -> None:
        """Opcodes that name, make or change objects."""
        match opcode:
            case "GLOBAL":
                self.stack.append(Global(*str(argument).split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = self.stack.pop(), self.stack.pop()
                if not (isinstance(name, str) and isinstance(module, str)):
                    raise FileFormatError("STACK_GLOBAL without two names.")
                self.stack.append(Global(module, name))
            case "REDUCE" | "NEWOBJ":
                arguments, function = self.stack.pop(), self.stack.pop()
                self.stack.append(_called(function, arguments))
            case "NEWOBJ_EX":
                keywords, arguments, function = self.stack.pop(), self.stack.pop(), self.stack.pop()
                self.stack.append(_called(function, arguments, keywords))
            case "INST":
                members = self.to_mark()
                self.stack.append(Call(Global(*str(argument).split(" ", 1)), tuple(members)))
            case "OBJ":
                function, *members = self.to_mark()
                self.stack.append(Call(function, tuple(members)))
            case "PERSID":
                self.stack.append(Persistent(argument))
            case "BINPERSID":
                self.stack.append(Persistent(self.stack.pop()))
            case "BUILD":
                state, built = self.stack.pop(), self.stack[-1]
                if not isinstance(built, Call):
                    raise FileFormatError(f"BUILD of a {type(built).__name__}, which has no state.")
                built.state = state
            case _:
                self.fill(opcode)

    def fill(self, opcode: str) -> None:
        """Opcodes that put members into a container."""
        match opcode:
            case "APPEND" | "APPENDS" | "ADDITEMS":
                members = [self.stack.pop()] if opcode == "APPEND" else self.to_mark()
                _extend(self.stack[-1], members)
            case "SETITEM" | "SETITEMS" | "DICT":
                members = [self.stack.pop(-2), self.stack.pop()] if opcode == "SETITEM" else self.to_mark()
                if opcode == "DICT":
                    self.stack.append({})
                _update(self.stack[-1], members)
            case _:
                raise FileFormatError(f"the pickle opcode {opcode} is not read.")


def _called(function: Node, arguments: Node, keywords: Node = None) -> Call:
    if not isinstance(arguments, tuple) or not isinstance(keywords, dict | None):
        raise FileFormatError("a call without a tuple of arguments.")
    return Call(function, arguments, keywords or {})


def _extend(container: Node, members: list[Node]) -> None:
    if isinstance(container, list):
        container.extend(members)
    elif isinstance(container, set):
        container.update(map(_key, members))
    elif isinstance(container, Call):
        container.items.extend(members)
    else:
        raise FileFormatError(f"members for a {type(container).__name__}, which takes none.")


def _update(container: Node, members: list[Node]) -> None:
    pairs = list(zip(map(_key, members[::2]), members[1::2], strict=True))
    if isinstance(container, dict):
        container.update(pairs)
    elif isinstance(container, Call):
        container.pairs.extend(pairs)
    else:
        raise FileFormatError(f"pairs for a {type(container).__name__}, which takes none.")


def _run(machine: _Machine, data: bytes | io.BytesIO, max_opcodes: int) -> None:
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if count == max_opcodes:
            raise FileFormatError(f"a pickle of more than {max_opcodes} opcodes; no more are read.")
        machine.step(opcode.name, argument)


def read_pickle(data: bytes | io.BytesIO, *, max_opcodes: int = MAX_OPCODES) -> Node:
    """What a pickle holds, without importing or calling anything. A stream is left where the pickle ends.

    Raises: FileFormatError for what is no pickle, is cut off, or has more than `max_opcodes` opcodes.
    """
    machine = _Machine()
    try:
        with warnings.catch_warnings(action="ignore"):  # pickletools decodes escapes that Python deprecates
            _run(machine, data, max_opcodes)
        return machine.stack.pop()
    except FileFormatError:
        raise
    except (ValueError, IndexError, KeyError, OverflowError, TypeError) as error:
        raise FileFormatError(f"no pickle, or a damaged one: {type(error).__name__} {str(error)[:80]}") from error
