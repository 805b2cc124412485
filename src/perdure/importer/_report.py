"""What an import found, what it left behind, and what the user should know."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from perdure._core import FileFormatError
from perdure.policy import AbstractPolicy
from perdure.space import AbstractSpace, Dict

if TYPE_CHECKING:
    from rich.table import Table


_LIMITS = (RecursionError, OverflowError, MemoryError)
MAX_MESSAGE = 1000  # a library's own message may hold the whole file


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

    def __rich__(self) -> "Table":
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


def imported(
    policy: AbstractPolicy,
    *,
    file: str | Path,
    library: str,
    algorithm: str,
    source_class: str,
    normalization: str = "none",
    dropped: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> ImportedPolicy:
    """`policy` with its report; what the policy says of itself is taken from it. `file` may be its path.

    Texts may hold names from the file, so what is longer than a message may be is cut off.
    """
    report = ImportReport(
        file=Path(file).name,
        library=library,
        algorithm=algorithm,
        source_class=source_class[:MAX_MESSAGE],
        policy=policy.name,
        observation=spelled(policy.observation_space),
        action=spelled(policy.action_space),
        normalization=normalization[:MAX_MESSAGE],
        dropped=tuple(text[:MAX_MESSAGE] for text in dropped),
        notes=tuple(text[:MAX_MESSAGE] for text in notes),
    )
    return ImportedPolicy(policy, report)


@contextlib.contextmanager
def naming(path: str | Path, *others: type[Exception]) -> Iterator[None]:
    """Within, a FileFormatError, or one of the `others`, is raised as a FileFormatError that begins with the path.

    So are the errors of Python's own limits, which only a file that was made for it comes to.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, (FileFormatError, *others)):
            raise FileFormatError(f"{path}: {str(error)[:MAX_MESSAGE]}") from error
        if isinstance(error, _LIMITS):
            raise FileFormatError(f"{path}: it asks for more than is read: {type(error).__name__}.") from error
        raise
