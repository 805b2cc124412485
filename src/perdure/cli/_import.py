"""`perdure import`: make a model of another library an ordinary policy.

Which libraries there are, and the flags of each, is asked of the importers.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, get_args

import tyro
from rich.console import Console

from perdure._core import owning
from perdure.checkpoint import save_policy
from perdure.importer import Importer, importers

from ._run import POLICY_FILE, SAVES, check_no_policy


def _import(
    found: Mapping[str, Importer], library: str, path: Path, out: Path | None, force: bool, **options: object
) -> None:
    """Make a model of another library an ordinary policy, without running anything that its file names."""
    out = out or Path(path.stem)
    check_free(out, force)
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    for name in given:
        if name not in found[library].options:
            owners = " and ".join(other.name for other in found.values() if name in other.options)
            raise ValueError(f"--{name.replace('_', '-')} is for models of {owners}, not of {library}.")
    policy, report = found[library].read(path, **given)
    out.mkdir(parents=True, exist_ok=True)
    metadata = {"algorithm": report.algorithm, "imported": {label: text for label, text in report.rows()[:8]}}
    metadata["notes"] = list(report.notes)
    with owning(out):
        check_free(out, force)  # others may have begun and ended meanwhile
        save_policy(out / POLICY_FILE, policy, metadata=metadata)
    console = Console()
    console.print(report)
    console.print(f"Written to {out / POLICY_FILE}", highlight=False)
    console.print(f"Next: perdure export {out} --to onnx --out deploy", highlight=False)


def check_free(out: Path, force: bool) -> None:
    """Raises: FileExistsError for a folder with a policy, unless `force`, or with checkpoints of a training."""
    check_no_policy(out, force)
    if (out / SAVES).exists():
        raise FileExistsError(f"{out} holds a training with its checkpoints. Choose another folder with --out.")


def _parameter(name: str, kind: object, meaning: str, default: object = inspect.Parameter.empty) -> inspect.Parameter:
    """A flag; without a default it is an argument that stands by its place."""
    annotation = Annotated[kind, tyro.conf.arg(help=meaning)]  # type: ignore[valid-type]
    if default is inspect.Parameter.empty:
        annotation = tyro.conf.Positional[annotation]  # type: ignore[misc]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _flags(found: Mapping[str, Importer]) -> Iterator[inspect.Parameter]:
    """One for each option of an importer. Several may have an option of one name; it is of the first one's type."""
    for name in dict.fromkeys(name for one in found.values() for name in one.options):
        owners = [one for one in found.values() if name in one.options]
        setting = inspect.signature(owners[0].read, eval_str=True).parameters[name]
        kind = Path | None if Path in get_args(setting.annotation) else setting.annotation
        meaning = " ".join(f"For {one.name}: {one.options[name]}" for one in owners)
        yield _parameter(name, kind, meaning, setting.default)


def _command(found: Mapping[str, Importer]) -> Callable[..., None]:
    """`perdure import` for these importers, with the signature that its flags are made from."""
    libraries = "; ".join(f"{one.name} is {one.source}" for one in found.values())
    names = tyro.extras.literal_type_from_choices(list(found))
    parameters = [
        _parameter("library", names, f"What to import: {libraries}."),
        _parameter("path", Path, "The model."),
        _parameter("out", Path | None, "Folder for the policy; by default one with the name of the model.", None),
        *_flags(found),
        _parameter("force", bool, "Replace an earlier policy in that folder.", False),
    ]

    def command(**flags: object) -> None:
        _import(found, **flags)  # type: ignore[arg-type]

    command.__doc__ = _import.__doc__
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


import_model = _command(importers())
