"""`perdure inspect`: what a saved policy or checkpoint holds, without running it."""

import json
from collections.abc import Iterable
from pathlib import Path

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from perdure._core import listing
from perdure.checkpoint import checkpoints_in, in_words, load_policy, other_numerics, read_policy_header, verify

from ._run import SAVES, is_checkpoint, with_newest


def inspect(path: tyro.conf.Positional[Path]) -> None:
    """Show what a policy file or a checkpoint holds: versions, training, every setting and array; its digests are checked.

    Args:
        path: A policy.safetensors file, a checkpoint, or a folder that `perdure train` made.
    """
    with_newest(path, lambda found: (show_checkpoint if is_checkpoint(found) else show_policy)(found))
    if (path / SAVES).is_dir():
        show_checkpoints(path / SAVES)


def show_policy(path: Path) -> None:
    load_policy(path)  # checks the digest, and that it can be built
    header = read_policy_header(path)
    rows = [
        ("size", f"{path.stat().st_size:,} bytes"),
        ("fingerprint", header.fingerprint),
        ("digest", f"{header.digest} (checked)"),
        ("written by", f"perdure {header.perdure_version}, jax {header.jax_version}"),
        *header.metadata.items(),
    ]
    show(str(path), (), rows)
    show("policy", ("field", "value"), header.listing())


def show_checkpoint(path: Path) -> None:
    head = verify(path)
    host = {None: "none", True: "saved", False: "not saved"}[head["host"] and "unknown" not in head["host"]]
    rows = [
        ("written by", f"perdure {head['perdure']}, jax {head['jax']}"),
        ("algorithm", head["algorithm"]),
        ("environment steps", f"{head['steps']:,}"),
        ("host environment", host),
        *numerics_rows(head.get("numerics")),
        *(
            (name, f"{entry['size']:,} bytes, digest {entry['sha256']} (checked)")
            for name, entry in head["files"].items()
        ),
        *head["metadata"].items(),
    ]
    show(str(path), (), rows)
    show("settings", ("setting", "value"), head["settings"].items())
    show("policy", ("field", "value"), listing(head["policy"]))
    if head["env"] is not None:
        show("environment", ("field", "value"), listing(head["env"]))


def numerics_rows(saved: object) -> list[tuple[str, str]]:
    """What the bits of a checkpoint depend on, and whether resuming it here goes on to the bit."""
    if not isinstance(saved, dict):
        return [("computed with", "not told, as it was saved by an earlier version")]
    differing = other_numerics(saved)
    here = f"not to the bit: {in_words(differing)}" if differing else "to the bit"
    return [("computed with", ", ".join(f"{name} {value}" for name, value in saved.items())), ("resumes here", here)]


def show_checkpoints(folder: Path) -> None:
    found, broken = checkpoints_in(folder)
    rows = [
        (one.path.name, f"{one.steps:,}", "-" if one.mean_return is None else f"{one.mean_return:.1f}") for one in found
    ]
    show(f"checkpoints in {folder}", ("name", "environment steps", "mean return"), rows)
    for path, why in broken.items():
        Console(highlight=False).print(f"[red]not read:[/red] {escape(f'{path}: {why}')}")


def show(title: str, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """Print a table; without columns, one of two columns and no head."""
    table = Table(title=title, show_header=bool(columns))
    for column in columns or ("", ""):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(value if isinstance(value, str) else json.dumps(value)) for value in row))
    Console().print(table)
