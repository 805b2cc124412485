"""What an export proved, as a table."""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from perdure.export.precision import Distance
from perdure.export.proof import Coverage

NOT_PROVEN = "not proven here"
MAX_NAMED = 5  # sides that no row reached; the manifest has them all


@dataclasses.dataclass(frozen=True)
class TargetReport:
    """One target. Errors are relative to the range of each output.

    For a target in float16 or int8, `max_error` and `actions_equal` are its runtime's against its own graph, and
    `distance` is how far that graph is from the policy.

    Where its runtime is not installed it was written, and `missing` says what to install so that it can be proven; the
    numbers are then those of no comparison.
    """

    target: str
    file: str
    size_bytes: int
    runtime: str  # name and version of what ran it
    observations: int  # rows compared, sequence steps included
    max_error: float
    actions_equal: int  # rows whose integer outputs are equal; for a continuous action all within tolerance
    ties: int  # rows excused: they differ, and float32 rounding alone moves the policy to that answer
    broken: int  # rows with NaN or infinities whose guarded answer was as it must be
    microseconds: float | None  # median of one action at batch 1, the runtime's own call included
    memory: dict[str, int | None] = dataclasses.field(default_factory=dict)  # of C: bytes of flash, stack, workspace
    precision: str = "float32"
    distance: Distance | None = None
    note: str = ""
    missing: str | None = None
    max_excused: float = (
        0.0  # the largest error of the ties, infinite at one without a number; `max_error` is of the other rows
    )
    coverage: Coverage | None = None  # of the policy's clips, maxima, selections and tables by the rows compared

    @property
    def is_proven(self) -> bool:
        return self.missing is None

    @property
    def agreement(self) -> str:
        if self.distance is not None:
            share = self.distance.actions_equal
            return "quantised" if share is None else f"{100 * share:.1f} %"
        ties = f" ({self.ties} ties)" if self.ties else ""
        return f"{self.actions_equal}/{self.observations}{ties}"


def unproven(target: str, precision: str, files: Sequence[str], folder: Path, note: str, missing: str) -> TargetReport:
    """The row of a target that was not run."""
    return TargetReport(
        target=target,
        file=files[0],
        size_bytes=sum((folder / file).stat().st_size for file in files),
        runtime="",
        observations=0,
        max_error=0.0,
        actions_equal=0,
        ties=0,
        broken=0,
        microseconds=None,
        precision=precision,
        note=note,
        missing=missing,
    )


def coverage_lines(coverage: Coverage | None) -> list[str]:
    """What no row reached."""
    if coverage is None or not coverage.unreached:
        return []
    named = "; ".join(coverage.unreached[:MAX_NAMED])
    more = f"; and {len(coverage.unreached) - MAX_NAMED} more" if len(coverage.unreached) > MAX_NAMED else ""
    return [f"Not reached by any row, {len(coverage.unreached)} of {coverage.sides} sides: {named}{more}."]


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """`print(report)` shows the table."""

    directory: str
    name: str
    fingerprint: str | None
    targets: tuple[TargetReport, ...]
    kept: tuple[str, ...] = ()  # targets of the earlier export in that folder, which were not proven again
    foreign: tuple[str, ...] = ()  # files in the folder that are not of the export, which nothing looked at

    def table(self) -> Table:
        title = escape(f"{self.name} -> {self.directory}")
        table = Table(
            title=title,
            box=box.SIMPLE,
            collapse_padding=True,
            title_justify="left",
            caption=self.caption(),
            caption_justify="left",
        )
        for heading in ("target", "file"):
            table.add_column(heading, no_wrap=True)
        for heading in ("bytes", "max\n|error|", "actions\nequal", "us per\naction"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("proven by", overflow="fold")
        for row in self.targets:
            micros = "" if row.microseconds is None else f"{row.microseconds:.1f}"
            error = row.max_error if row.distance is None else row.distance.max_error
            proof = (f"{error:.1e}", row.agreement, micros, row.runtime)
            cells = (f"{row.size_bytes:,}", *(proof if row.is_proven else ("", "", "", NOT_PROVEN)))
            table.add_row(*map(escape, (row.target, row.file, *cells)))
        return table

    def caption(self) -> str | None:
        broken = max((row.broken for row in self.targets), default=0)
        lines = [f"NaN guard held on {broken} broken observations."] if broken else []
        for row in self.targets:
            if row.distance is not None:
                lines.append(f"{row.target} is {row.precision}, near to the policy and not equal: {row.distance}.")
            lines += [row.note] if row.note else []
            if row.ties:
                lines.append(
                    f"{row.target}: {row.ties} of {row.observations} rows differ (largest error {row.max_excused:.1e}) where "
                    "float32 rounding alone moves the policy to that answer."
                )
        lines += coverage_lines(next((row.coverage for row in self.targets if row.coverage is not None), None))
        lines += [f"{row.target}: {NOT_PROVEN}. {row.missing}" for row in self.targets if not row.is_proven]
        if self.kept:
            lines.append(f"Kept of the earlier export: {', '.join(self.kept)}.")
        if self.foreign:
            named = ", ".join(repr(file[:80]) for file in self.foreign[:3])
            more = f" and {len(self.foreign) - 3} more" if len(self.foreign) > 3 else ""
            lines.append(f"Not of this export, and not looked at: {named}{more}.")
        return escape("\n".join(lines)) or None

    def __rich__(self) -> Table:
        return self.table()

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=120, color_system=None)
        console.print(self.table())
        return console.file.getvalue().rstrip()  # type: ignore[attr-defined]
