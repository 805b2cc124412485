"""`perdure export` and `perdure verify`: take a policy to where it runs, and prove that it is the same one there."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from perdure._core import ExportError
from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv
from perdure.export import ExportOptions, export as export_policy, verify as verify_export

from ._cache import use_compilation_cache
from ._run import environment_of, load_run

# The flags are the fields of the record; what only a program can give, such as arrays, has none.
Flags = Annotated[ExportOptions, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands, tyro.conf.SuppressFixed]


def export(
    path: tyro.conf.Positional[Path],
    out: Path,
    to: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    exported: Flags = ExportOptions(),  # noqa: B008 - a frozen record
    calibrate_on: Annotated[str | None, tyro.conf.arg(name="calibration")] = None,
    force: bool = False,
    compilation_cache: bool = True,
) -> None:
    """Export a saved policy, prove each export equal in its own runtime, and print what was proven.

    Args:
        path: Folder that `perdure train` made, or a policy.safetensors file.
        out: Folder to write; what is in it afterwards is all that is needed to deploy.
        to: Target, may be given more than once; onnx by default, `all` for every one whose writer is installed.
        exported: What is exported and how it is proven.
        calibrate_on: What an int8 export is fitted to: the name of an environment, or a .npy or .npz file of observations; by
            default the environment that the policy was trained on, or, with `space`, samples of the observation space.
        force: Replace an export of another policy in that folder, and keep other files, instead of refusing it.
        compilation_cache: Keep compiled functions in the user's cache folder for the next run.
    """
    use_compilation_cache(compilation_cache)
    policy, metadata = load_run(path)
    targets = list(to) or ["onnx"]
    options = dataclasses.replace(
        exported,
        calibration=calibration_of(metadata, targets, calibrate_on),
        environment=exported.environment or metadata.get("environment"),
    )
    report = export_policy(policy, out, targets=targets, options=options, force=force)
    Console().print(report)
    Console().print(f"Written to {out}. Prove it again anywhere with: perdure verify {out}", highlight=False)


def calibration_of(
    metadata: dict[str, object], targets: list[str], name: str | None
) -> AbstractEnv | HostEnv | Path | None:
    """What `export` takes for that name; only int8 needs it, so no other target makes an environment.

    Raises: ValueError without a name for a policy that does not say where it was trained.
    """
    if name == "space" or not any(target == "all" or target.endswith("int8") for target in targets):
        return None
    if name is not None and Path(name).suffix in (".npy", ".npz"):
        return Path(name)
    if name is None and "environment" not in metadata:
        raise ValueError(
            "The policy file does not say which environment it is for, and int8 is fitted to observations. Add "
            "--calibration with an environment's name, a .npy or .npz file, or `space` for samples of the space."
        )
    return environment_of(metadata, name)


def verify(directory: tyro.conf.Positional[Path], trust: bool = False) -> None:
    """Prove an export again from its folder alone: every byte, and every golden answer in its own runtime.

    Data is proven: ONNX, TFLite, StableHLO, weights. Code in the folder (C, PyTorch, JavaScript, the numpy script) runs only with
    --trust. Exit status 0: at least one target was proven and none differs; what was not run is told. 1: a file is missing or was
    changed, an answer differs, or nothing was proven.

    Args:
        directory: Folder that `perdure export` made.
        trust: Run the code in the folder too, as you would run any program from the same source.
    """
    report = verify_export(directory, trust=trust)
    Console().print(report)
    if not any(row.is_proven for row in report.targets):
        raise ExportError(
            f"{directory} is whole, but nothing of it was proven here; above it says what to install, or to add --trust."
        )
