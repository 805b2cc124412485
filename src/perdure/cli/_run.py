"""A run on disk: the folder that `train` leaves and the other commands take.

Its policy is the newest whole one: that of `policy.safetensors`, or of a checkpoint that a later training has left.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from rich.console import Console

from perdure._core import FileFormatError, LaterFormatError
from perdure.checkpoint import (
    METADATA,
    checkpoints_in,
    latest,
    load_policy,
    load_policy_of,
    read_metadata,
    read_policy_header,
)
from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv
from perdure.models import as_env
from perdure.policy import AbstractPolicy

POLICY_FILE, CURVE_FILE, SAVES = "policy.safetensors", "learning_curve.csv", "saves"


T = TypeVar("T")
ATTEMPTS = 20  # at a run whose checkpoints a training replaces meanwhile


def check_no_policy(out: Path, force: bool) -> None:
    """Raises: FileExistsError for a folder with a policy, unless `force`."""
    if (out / POLICY_FILE).exists() and not force:
        raise FileExistsError(
            f"{out / POLICY_FILE} exists. Choose another folder with --out, or replace it with --force."
        )


class Saved(NamedTuple):
    """A policy that lies in a run."""

    path: Path  # of a policy file, or of a checkpoint
    steps: int | None  # environment steps it was trained for; None where the file does not say


def newest_of(run: Path) -> Saved:
    """The newest whole policy in a folder of `train`.

    Raises: FileNotFoundError naming what was looked for; FileFormatError for a damaged policy file without any checkpoint.
    """
    fault = None
    try:
        file = policy_file_of(run)
    except LaterFormatError:
        raise
    except FileFormatError as error:
        file, fault = None, error
    checkpoint = newer_checkpoint(run / SAVES, -1 if file is None or file.steps is None else file.steps)
    if checkpoint is not None and fault is not None:
        warnings.warn(f"{fault} The newest checkpoint is taken in its place.", stacklevel=2)
    newest = checkpoint or file
    if newest is None:
        raise fault or FileNotFoundError(
            f"There is no policy at {run}. Give a folder that `perdure train` made, a policy.safetensors file, or a checkpoint."
        )
    return newest


def policy_file_of(run: Path) -> Saved | None:
    """The policy file of a run, read and found whole; None if there is none. Raises: FileFormatError"""
    path = run / POLICY_FILE
    if not path.is_file():
        return None
    load_policy(path)
    steps = read_policy_header(path).metadata.get("steps")
    return Saved(path, steps if isinstance(steps, int) else None)


def newer_checkpoint(saves: Path, steps: int) -> Saved | None:
    """The newest whole checkpoint, if it is of more than so many steps."""
    if not saves.is_dir() or all(one.steps <= steps for one in checkpoints_in(saves)[0]):
        return None
    path = latest(saves)
    found = None if path is None else Saved(path, read_metadata(path)["steps"])
    return found if found is not None and found.steps is not None and found.steps > steps else None


def with_newest(path: Path, read: Callable[[Path], T]) -> T:
    """What `read` gives of a policy file or checkpoint, or of the newest in a run, of which one line then says which it is."""
    if path.is_file() or is_checkpoint(path):
        return read(path)
    for attempt in range(ATTEMPTS):
        try:
            newest = newest_of(path)
            result = read(newest.path)
        except FileNotFoundError:
            if attempt == ATTEMPTS - 1 or not path.is_dir() or not (path / SAVES).is_dir():
                raise
        else:
            if newest.steps is not None:
                line = f"{path}: step {newest.steps:,}, {newest.path.relative_to(path)}"
                Console().print(line, highlight=False, markup=False, soft_wrap=True)
            return result
    raise AssertionError("the last attempt raises")


def is_checkpoint(path: Path) -> bool:
    return (path / METADATA).is_file()


def load_run(path: Path) -> tuple[AbstractPolicy, dict[str, Any]]:
    """The policy, and what `train` wrote beside it (environment, algorithm, steps)."""
    return with_newest(path, policy_and_metadata)


def policy_and_metadata(path: Path) -> tuple[AbstractPolicy, dict[str, Any]]:
    if not is_checkpoint(path):
        return load_policy(path), read_policy_header(path).metadata
    head = read_metadata(path)
    return load_policy_of(path), {
        **head["metadata"],
        "algorithm": head["algorithm"].rpartition(".")[2],
        "steps": head["steps"],
    }


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
