"""What a target is: one record in the folder that writes it and runs it."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from perdure._core import MissingExtraError
from perdure.export.precision import FLOAT32
from perdure.export.program import Program
from perdure.export.proof import Arrays


@dataclasses.dataclass(frozen=True)
class Written:
    """The files of a target, by their names in the folder of the export."""

    run: str  # the one that the runner opens
    beside: tuple[str, ...] = ()


def nothing_required() -> None:
    """Of a target that is written with what Perdure itself needs."""


def no_note(file: str) -> str:
    return ""


def no_more_files(program: Program, directory: Path, name: str, golden: Arrays) -> Sequence[str]:
    return ()


@dataclasses.dataclass(frozen=True)
class Target:
    """A runtime that policies are exported to.

    The module that makes the record imports no optional library: what writes or runs the target is imported in the
    functions. `runner` is a script with `open_model(path, folder)`, run with that runtime and numpy alone
    (`perdure.export.proof.replay` says what it gives).
    """

    name: str
    write: Callable[
        [Program, Path, str], Written
    ]  # (program, directory, name); names in the directory begin with `name`
    runner: Path
    require: Callable[[], object] = nothing_required  # raises MissingExtraError where what writes it is not installed
    finish: Callable[[Program, Path, str, Arrays], Sequence[str]] = no_more_files
    """Writes what needs the golden arrays, once the answers are proven; the files' names."""
    precision: str = FLOAT32  # of the weights; float16 and int8 are near to the policy, not equal
    note: Callable[[str], str] = no_note  # for the report, of the file that is run: what the runner did not run
    require_runtime: Callable[[], object] | None = None
    """As `require`, of what runs it; without, it is written and not proven here. None: what writes it runs it too."""
    runs_code: bool = True
    """Whether `runner` runs code that lies in the export's folder, so that `verify` needs trust in the folder. False where the
    files are data to the runtime, which no file can make do anything but compute."""
    data_runner: Path | None = None
    """A runner for `verify` that takes the files' data alone, where `runner` runs their code; it may import Perdure."""

    def can_be_written(self) -> bool:
        try:
            self.require()
        except MissingExtraError:
            return False
        return True

    def missing(self) -> str | None:
        """What to install so that it can be proven; None where it can."""
        try:
            (self.require_runtime or self.require)()
        except MissingExtraError as error:
            return str(error)
        return None
