"""What an import found, what it left behind, and what the user should know."""

import warnings
from typing import Any, NamedTuple

from perdure.policy import AbstractPolicy
from perdure.space import AbstractSpace, Dict


def spelled(space: AbstractSpace) -> str:
    """A space in words, a Dict key by key."""
    if not isinstance(space, Dict):
        return str(space)
    return "; ".join(f"{name}: {member}" for name, member in space.items)


class ImportReport(NamedTuple):
    """Printed by `rich` as a table, by `print` as lines."""

    file: str
    library: str  # "Stable-Baselines3 2.4.0"
    algorithm: str
    source_class: str  # dotted name of the policy class in the file
    policy: str  # name of our class
    observation: str
    action: str
    normalization: str
    dropped: tuple[str, ...]  # what the file has and the policy has not
    notes: tuple[str, ...]  # what differs from the environment or needs attention

    def rows(self) -> list[tuple[str, str]]:
        """Label and text of each line."""
        return [
            ("file", self.file),
            ("written by", self.library),
            ("algorithm", self.algorithm),
            ("its policy class", self.source_class),
            ("our policy class", self.policy),
            ("observation", self.observation),
            ("action", self.action),
            ("normalisation", self.normalization),
            *(("left behind", text) for text in self.dropped),
            *(("note", text) for text in self.notes),
        ]

    def __str__(self) -> str:
        return "\n".join(f"{label:16}  {text}" for label, text in self.rows())

    def __rich__(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(f"Imported {self.file}"), show_header=False)
        table.add_column()
        table.add_column(overflow="fold")
        for label, text in self.rows()[1:]:
            table.add_row(label, Text(text))  # a Text takes no markup and no control characters from the file
        return table


class ImportedPolicy(NamedTuple):
    policy: AbstractPolicy
    report: ImportReport

    def with_warnings(self) -> AbstractPolicy:
        """The policy, after a warning for each note. For the function that the user calls."""
        for note in self.report.notes:
            warnings.warn(f"{self.report.file}: {note}.", stacklevel=3)
        return self.policy
