"""`perdure export` and `perdure verify`: take a policy to where it runs, and prove that it is the same one there."""

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from perdure.export import export as export_policy, verify as verify_export

from ._cache import use_compilation_cache
from ._run import load_run


def export(
    path: tyro.conf.Positional[Path],
    out: Path,
    to: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    action_mask: bool = False,
    nan_guard: bool = True,
    force: bool = False,
    compilation_cache: bool = True,
) -> None:
    """Export a saved policy, prove each export equal in its own runtime, and print what was proven.

    Args:
        path: Folder that `perdure train` made, or a policy.safetensors file.
        out: Folder to write; what is in it afterwards is all that is needed to deploy.
        to: Target, may be given more than once; onnx by default.
        action_mask: Give the exported policy an `action_mask` input.
        nan_guard: Answer a broken observation by -1 (choices) or NaN (numbers) instead of a plausible action.
        force: Replace an earlier export in that folder.
        compilation_cache: Keep compiled functions in the user's cache folder for the next run.
    """
    use_compilation_cache(compilation_cache)
    policy, metadata = load_run(path)
    report = export_policy(
        policy,
        out,
        targets=list(to) or ["onnx"],
        action_mask=action_mask,
        nan_guard=nan_guard,
        environment=metadata.get("environment"),
        force=force,
    )
    Console().print(report)
    Console().print(f"Written to {out}. Prove it again anywhere with: perdure verify {out}", highlight=False)


def verify(directory: tyro.conf.Positional[Path]) -> None:
    """Prove an export again from its folder alone: every byte, and every golden answer in its own runtime.

    Args:
        directory: Folder that `perdure export` made.
    """
    Console().print(verify_export(directory))
