"""`perdure import`: make a model of another library an ordinary policy."""

from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console

from perdure.checkpoint import save_policy
from perdure.importer import read_sb3, read_velora

from ._run import POLICY_FILE


def import_model(
    library: tyro.conf.Positional[Literal["sb3", "velora"]],
    path: tyro.conf.Positional[Path],
    out: Path | None = None,
    vecnormalize: Path | None = None,
    config: Path | None = None,
    channels_first: bool = False,
    force: bool = False,
) -> None:
    """Make a model of another library an ordinary policy, without running anything that its file names.

    Args:
        library: What wrote the model: sb3 is Stable-Baselines3, sb3-contrib or SBX.
        path: The model: a zip file of sb3, a directory of velora.
        out: Folder for the policy; by default one with the name of the model.
        vecnormalize: For sb3: statistics that VecNormalize saved, a pickle; they become part of the policy.
        config: For sb3: config.yml of rl-baselines3-zoo, which tells what the environment has to do.
        channels_first: For sb3: images come as channels, height, width; else as height, width, channels.
        force: Replace an earlier policy in that folder.
    """
    out = out or Path(path.stem)
    if (out / POLICY_FILE).exists() and not force:
        raise FileExistsError(
            f"{out / POLICY_FILE} exists. Choose another folder with --out, or replace it with --force."
        )
    if library == "velora":
        if vecnormalize or config or channels_first:
            raise ValueError("--vecnormalize, --config and --channels-first are for models of sb3.")
        policy, report = read_velora(path)
    else:
        policy, report = read_sb3(path, vecnormalize=vecnormalize, config=config, channels_first=channels_first)
    out.mkdir(parents=True, exist_ok=True)
    metadata = {"algorithm": report.algorithm, "imported": {label: text for label, text in report.rows()[:8]}}
    metadata["notes"] = list(report.notes)
    save_policy(out / POLICY_FILE, policy, metadata=metadata)
    console = Console()
    console.print(report)
    console.print(f"Written to {out / POLICY_FILE}", highlight=False)
    console.print(f"Next: perdure export {out} --to onnx --out deploy", highlight=False)
