"""A run on disk: the folder that `train` leaves and the other commands take."""

from pathlib import Path
from typing import Any

from perdure.checkpoint import load_policy, read_policy_header
from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv
from perdure.models import as_env

POLICY_FILE = "policy.safetensors"


def policy_path(path: Path) -> Path:
    """The policy file that a path means: the file itself, or `policy.safetensors` in a folder.

    Raises: FileNotFoundError naming what was looked for.
    """
    found = path / POLICY_FILE if path.is_dir() else path
    if not found.is_file():
        raise FileNotFoundError(
            f"There is no policy at {found}. Give a folder that `perdure train` made, or a policy.safetensors file."
        )
    return found


def load_run(path: Path) -> tuple[Any, dict[str, Any]]:
    """The policy, and what `train` wrote beside it (environment, algorithm, settings, steps)."""
    path = policy_path(path)
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
