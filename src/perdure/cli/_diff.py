"""`perdure diff`: what differs between two policies or checkpoints."""

from pathlib import Path

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from perdure.checkpoint import compare_actions, compare_arrays, compare_fields, read_side

from ._run import with_newest


def diff(one: tyro.conf.Positional[Path], other: tyro.conf.Positional[Path], observations: int = 10_000) -> None:
    """Show which settings and arrays differ, by how much, and how often the two policies act differently.

    Args:
        one: A checkpoint, a policy.safetensors file, or a folder that `perdure train` made.
        other: Another one.
        observations: How many to sample from the observation space for comparing actions.
    """
    console = Console()
    ours, theirs = (with_newest(path, read_side) for path in (one, other))
    fields = compare_fields(ours, theirs)
    if fields:
        table = Table(title="settings")
        for column in ("field", str(one), str(other)):
            table.add_column(column, overflow="fold")
        for row in fields:
            table.add_row(*map(escape, row))
        console.print(table)
    arrays = compare_arrays(ours, theirs)
    if arrays:
        table = Table(title="arrays")
        table.add_column("array", overflow="fold")
        for column in (str(one), str(other), "entries that differ", "largest difference"):
            table.add_column(column, justify="right", overflow="fold")
        for entry in arrays:
            share = "-" if entry.differing is None else f"{entry.differing:.1%}"
            largest = "-" if entry.largest is None else f"{entry.largest:.3g}"
            table.add_row(entry.path, entry.one, entry.other, share, largest)
        console.print(table)
    same = len(ours.arrays.keys() & theirs.arrays.keys()) - sum(
        1 for entry in arrays if "-" not in (entry.one, entry.other)
    )
    console.print(f"{len(fields)} settings and {len(arrays)} arrays differ; {same} arrays are equal bit for bit.")
    try:
        actions = compare_actions(ours.policy, theirs.policy, num_observations=observations)
    except (TypeError, ValueError) as error:
        console.print(f"The policies cannot be asked the same: {escape(str(error))}", highlight=False)
        return
    console.print(
        f"Of {actions.observations:,} sampled observations, the policies act differently on {actions.differing:.2%}; "
        f"the largest difference is {actions.largest:.3g}."
    )
