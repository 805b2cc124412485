"""`perdure inspect`: what a saved policy holds, without running it."""

import json
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from perdure.checkpoint import load_policy, read_policy_header

from ._run import policy_path


def inspect(path: tyro.conf.Positional[Path]) -> None:
    """Show what a policy file holds: versions, training, every setting and every array; its digest is checked.

    Args:
        path: Folder that `perdure train` made, or a policy.safetensors file.
    """
    path = policy_path(path)
    load_policy(path)  # checks the digest, and that it can be built
    header, console = read_policy_header(path), Console()
    table = Table(title=str(path), show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("size", f"{path.stat().st_size:,} bytes")
    table.add_row("fingerprint", header.fingerprint)
    table.add_row("digest", f"{header.digest} (checked)")
    table.add_row("written by", f"perdure {header.perdure_version}, jax {header.jax_version}")
    for name, value in header.metadata.items():
        table.add_row(name, value if isinstance(value, str) else json.dumps(value))
    console.print(table)
    fields = Table(title="policy")
    for column in ("field", "value"):
        fields.add_column(column, overflow="fold")
    for name, value in header.listing():
        fields.add_row(name, value)
    console.print(fields)
