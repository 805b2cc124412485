"""What the writers of all targets share: a table of rules, one for each operator of the graph."""

from collections.abc import Callable, Mapping
from typing import Concatenate, Generic, TypeVar

from perdure._core import ExportError
from perdure.export.program import Program
from perdure.graph import Node

WriterT = TypeVar("WriterT")
ResultT = TypeVar("ResultT")
EntryT = TypeVar("EntryT")


def lacks(target: str, node: Node, what: str = "") -> ExportError:
    """The error for an operator, or something of it, that a target has no counterpart of."""
    of = f"{node.op} ({what})" if what else node.op
    where = f"{node.where}: " if node.where else ""  # none for what the guard added
    return ExportError(
        f"{where}{target} has no counterpart of {of}. Write it with other operators, or leave this target out."
    )


def entry(table: Mapping[str, EntryT], key: str, target: str, node: Node) -> EntryT:
    """The entry of a table by operator, or by an attribute of one.

    Raises: ExportError where the table has none.
    """
    if key not in table:
        raise lacks(target, node, "" if key == node.op else key)
    return table[key]


class WriteRules(Generic[WriterT, ResultT]):
    """`rule(writer, node, *arguments)` by operator; `target` is what messages call it."""

    def __init__(self, target: str):
        self.target = target
        self.rules: dict[str, Callable[Concatenate[WriterT, Node, ...], ResultT]] = {}

    def writes(
        self, *ops: str
    ) -> Callable[
        [Callable[Concatenate[WriterT, Node, ...], ResultT]], Callable[Concatenate[WriterT, Node, ...], ResultT]
    ]:
        """Decorator: this rule writes these operators."""

        def register(
            rule: Callable[Concatenate[WriterT, Node, ...], ResultT],
        ) -> Callable[Concatenate[WriterT, Node, ...], ResultT]:
            self.rules.update(dict.fromkeys(ops, rule))
            return rule

        return register

    def write(self, writer: WriterT, node: Node, *arguments: object) -> ResultT:
        """What the rule gives.

        Raises: ExportError for an operator that the target lacks.
        """
        return entry(self.rules, node.op, self.target, node)(writer, node, *arguments)


def file_stem(program: Program, name: str) -> str:
    """Targets of fewer digits lie beside those of the whole policy."""
    return name if program.precision == "float32" else f"{name}_{program.precision}"
