"""The command line: parses, calls one function, prints."""

import sys
import warnings
from typing import Any

import tyro
from rich.console import Console

from perdure._core import FileFormatError, MissingExtraError

from ._diff import diff
from ._evaluate import evaluate
from ._export import export, verify
from ._inspect import inspect
from ._quickstart import quickstart
from ._resume import resume
from ._train import train

COMMANDS: dict[str, Any] = {
    "quickstart": quickstart,
    "train": train,
    "resume": resume,
    "evaluate": evaluate,
    "export": export,
    "verify": verify,
    "inspect": inspect,
    "diff": diff,
}


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning as the user needs it: without the line of our code that raised it."""
    Console(stderr=True).print(f"[yellow]warning:[/yellow] {message}", highlight=False)


def main() -> None:
    """Run the command that the arguments name. What the user can mend is told in one line, with exit status 1."""
    warnings.showwarning = show_warning
    try:
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="perdure",
            description="Reinforcement-learning policies that outlive their training run.",
            config=(tyro.conf.CascadeSubcommandArgs, tyro.conf.OmitArgPrefixes),
        )
    except (FileFormatError, MissingExtraError, OSError, TypeError, ValueError) as error:
        if "--traceback" in sys.argv:
            raise
        Console(stderr=True).print(f"[red]error:[/red] {error}", highlight=False)
        sys.exit(1)
