"""What the writers of all targets share: a table of rules, one for each operator of the graph."""

from collections.abc import Callable
from typing import Any

from perdure._core import ExportError
from perdure.export.program import Program
from perdure.graph import Node

WriteRule = Callable[..., Any]


class WriteRules(dict[str, WriteRule]):
    """`rule(writer, node, *arguments)` by operator."""

    def writes(self, *ops: str) -> Callable[[WriteRule], WriteRule]:
        """Decorator: this rule writes these operators."""

        def register(rule: WriteRule) -> WriteRule:
            self.update(dict.fromkeys(ops, rule))
            return rule

        return register

    def write(self, target: str, writer: Any, node: Node, *arguments: Any) -> Any:
        """What the rule gives.

        Raises: ExportError for an operator that the target lacks.
        """
        rule = self.get(node.op)
        if rule is None:
            raise ExportError(f"{node.where}: {target} has no counterpart of {node.op}")
        return rule(writer, node, *arguments)


def file_stem(program: Program, name: str) -> str:
    """Targets of fewer digits lie beside those of the whole policy."""
    return name if program.precision == "float32" else f"{name}_{program.precision}"
