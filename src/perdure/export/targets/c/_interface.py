"""The arguments of the C function: a policy's inputs and outputs under names that C takes."""

import dataclasses
from functools import cached_property

from perdure.export.program import Port, Program, next_name
from perdure.graph import safe, size

from ._storage import c_type

RESERVED = frozenset([
    "auto", "break", "case", "char", "class", "const", "continue", "default", "delete", "do", "double", "else",
    "enum", "extern", "float", "for", "friend", "goto", "if", "inline", "int", "long", "new", "operator", "private",
    "protected", "public", "register", "restrict", "return", "short", "signed", "sizeof", "static", "struct",
    "switch", "template", "this", "throw", "try", "typedef", "union", "unsigned", "using", "virtual", "void",
    "volatile", "while", "work", "state", "lost", "best",
])  # fmt: skip


def identifier(text: str) -> str:
    """A name that C and C++ take."""
    name = safe(text) or "policy"
    return f"p_{name}" if name[0].isdigit() or name in RESERVED else name


def argument_name(text: str) -> str:
    """One that is none of the function's own variables, which have at most three characters or are reserved."""
    name = identifier(text)
    return name if len(name) > 3 else f"p_{name}"


@dataclasses.dataclass(frozen=True)
class Argument:
    """A port and its name in C."""

    port: Port
    name: str

    @property
    def count(self) -> int:
        return size(self.port.shape)

    @property
    def declaration(self) -> str:
        return f"{c_type(self.port.dtype)} {self.name}[{max(self.count, 1)}]"


@dataclasses.dataclass(frozen=True)
class Interface:
    """The C function's arguments. `state` holds the memory, which goes in and comes out."""

    prefix: str
    inputs: tuple[Argument, ...]
    state: tuple[Argument, ...]
    outputs: tuple[Argument, ...]

    @cached_property
    def prototype(self) -> str:
        parts = [f"const {a.declaration}" for a in self.inputs]
        parts += [f"{self.prefix}_state *state"] if self.state else []
        parts += [*(a.declaration for a in self.outputs), f"{self.prefix}_workspace *work"]
        return f"int {self.prefix}_act({', '.join(parts)})"


def interface_of(program: Program, name: str) -> Interface:
    sign, taken = program.signature, set[str]()

    def argument(port: Port, name: str) -> Argument:
        base = given = argument_name(name)
        count = 1
        while given in taken:
            count += 1
            given = f"{base}_{count}"
        taken.add(given)
        return Argument(port, given)

    memory = sign.initial_state
    inputs = tuple(argument(p, p.name) for p in sign.inputs if p.name not in memory)
    state = tuple(argument(p, p.name.removeprefix("state.")) for p in sign.inputs if p.name in memory)
    after = {next_name(port.name) for port in sign.inputs if port.name in memory}
    outputs = tuple(argument(p, p.name) for p in sign.outputs if p.name not in after)
    return Interface(identifier(name), inputs, state, outputs)
