"""The command line: parses, calls one function, prints."""

import sys
import warnings
from collections.abc import Callable

import tyro
from rich.console import Console
from rich.markup import escape

from perdure._core import FileFormatError, MissingExtraError
from perdure.algorithm import load_installed_algorithms

from ._choices import CONSTRUCTORS, kind_as_word, with_choices
from ._diff import diff
from ._evaluate import evaluate
from ._export import export, verify
from ._import import import_model
from ._inspect import inspect
from ._quickstart import quickstart
from ._resume import resume
from ._train import train

COMMANDS: dict[str, Callable[..., None]] = {
    "quickstart": quickstart,
    "train": train,  # with the algorithms and bodies that there are when it is run
    "resume": resume,
    "evaluate": evaluate,
    "import": import_model,
    "export": export,
    "verify": verify,
    "inspect": inspect,
    "diff": diff,
}


def show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """A warning as the user needs it: without the line of our code that raised it."""
    Console(stderr=True).print(f"[yellow]warning:[/yellow] {escape(str(message))}", highlight=False)


def main() -> None:
    """Run the command that the arguments name. What the user can mend is told in one line, with exit status 1."""
    warnings.showwarning = show_warning
    load_installed_algorithms()
    try:
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS | {"train": with_choices(train)},
            prog="perdure",
            args=kind_as_word(sys.argv[1:]),
            description="Reinforcement-learning policies that outlive their training run.",
            config=(tyro.conf.CascadeSubcommandArgs,),
            registry=CONSTRUCTORS,
        )
    except (FileFormatError, MissingExtraError, OSError, TypeError, ValueError) as error:
        if "--traceback" in sys.argv:
            raise
        Console(stderr=True).print(f"[red]error:[/red] {escape(str(error))}", highlight=False)
        sys.exit(1)
