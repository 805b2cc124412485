"""A run on disk: the folder that `train` leaves and the other commands take."""

from pathlib import Path
from typing import Any

from perdure.checkpoint import METADATA, latest, load_policy, load_policy_of, read_metadata, read_policy_header
from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv
from perdure.models import as_env
from perdure.policy import AbstractPolicy

POLICY_FILE, CURVE_FILE, SAVES = "policy.safetensors", "learning_curve.csv", "saves"


def saved_path(path: Path) -> Path:
    """What a path means: itself, a policy file or a checkpoint; in a folder of `train` its policy, else its last checkpoint.

    Raises: FileNotFoundError naming what was looked for.
    """
    if path.is_file() or is_checkpoint(path):
        return path
    if (path / POLICY_FILE).is_file():
        return path / POLICY_FILE
    newest = latest(path / SAVES) if (path / SAVES).is_dir() else None
    if newest is None:
        raise FileNotFoundError(
            f"There is no policy at {path}. Give a folder that `perdure train` made, a policy.safetensors file, or a checkpoint."
        )
    return newest


def is_checkpoint(path: Path) -> bool:
    return (path / METADATA).is_file()


def load_run(path: Path) -> tuple[AbstractPolicy, dict[str, Any]]:
    """The policy, and what `train` wrote beside it (environment, algorithm, settings, steps)."""
    path = saved_path(path)
    if is_checkpoint(path):
        return load_policy_of(path), read_metadata(path)["metadata"]
    return load_policy(path), read_policy_header(path).metadata


def environment_of(metadata: dict[str, Any], name: str | None) -> AbstractEnv | HostEnv:
    """The environment of that name, by default the one that the policy was trained on.

    Raises: ValueError if neither is known.
    """
    name = name or metadata.get("environment")
    if name is None:
        raise ValueError(
            "The policy file does not say which environment it is for. Add --env NAME, e.g. --env CartPole-v1."
        )
    return as_env(name)
