"""A training state as a directory, with everything that going on exactly needs.

    metadata.json                what follows, and what is in the other files; written last
    model_state.safetensors      policy, critics, targets
    optim_state.safetensors      optimiser states
    train_state.safetensors      environments, memories, keys, counters, running statistics
    buffer_state.safetensors     replay buffer and priorities, only with `buffer=True`

`metadata.json` holds the format, the versions that wrote it, the algorithm with its settings, the descriptions of policy and
environment (see `perdure._core._description`), size and SHA-256 of each file, and what the caller adds.
"""

import dataclasses
import io
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr

import perdure.env  # so that our own environments and policies are registered
import perdure.policy
from perdure._core import (
    FileFormatError,
    atomic_write,
    describe,
    describe_leaf,
    dumps_json,
    fsync_directory,
    is_stored,
    leaf_from_numpy,
    leaf_to_numpy,
    leaves_with_paths,
    loads_json,
    lookup,
    name_of,
    read_bytes,
    rebuild,
    sha256,
)
from perdure.algorithm import AbstractAlgorithm

from ._tensors import pack_tensors, read_header, view_tensors

FORMAT = "perdure.checkpoint/1"
METADATA, MODEL, OPTIMIZER, TRAINING, BUFFER = (
    "metadata.json",
    "model_state.safetensors",
    "optim_state.safetensors",
    "train_state.safetensors",
    "buffer_state.safetensors",
)


class Checkpoint(NamedTuple):
    """What a directory holds."""

    algorithm: Any
    state: Any  # None where the environment could not be saved and was not given
    policy: Any
    has_buffer: bool  # False: the buffer in `state` is empty; `algorithm.refill` before going on
    metadata: dict[str, Any]  # the caller's


def file_of(path: str) -> str:
    """Which file the leaf of a training state belongs to."""
    parts = path.split(".")
    if parts[0] in ("buffer", "priorities"):
        return BUFFER
    if any("optimizer" in part for part in parts[:2]):
        return OPTIMIZER
    return MODEL if parts[0] in ("policy", "learner") else TRAINING


def save(
    directory: str | Path,
    algorithm: Any,
    state: Any,
    *,
    buffer: bool = False,
    force: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Save a training state. An environment of your own that is not registered is left out: give it to `load` then.

    The directory is put in place whole. Raises: FileExistsError if there is one and not `force`, ValueError for
    `buffer=True` where there is no buffer, TypeError if the policy cannot be described.
    """
    directory = Path(directory)
    if directory.exists() and not force:
        raise FileExistsError(f"{directory} exists. Choose another directory, or replace it with force=True.")
    if buffer and not hasattr(state, "buffer"):
        raise ValueError(f"buffer=True, but {type(algorithm).__name__} has no replay buffer. Leave it out.")
    leaves: dict[str, dict[str, Any]] = {MODEL: {}, OPTIMIZER: {}, TRAINING: {}, BUFFER: {}}
    for path, leaf in leaves_with_paths(state):
        leaves[file_of(path)][path] = leaf
    if not buffer:
        del leaves[BUFFER]
    try:
        env: Any = describe(state.env, root="env", registered_only=True)
    except TypeError:
        env = None
    files = {
        name: pack_tensors({path: leaf_to_numpy(leaf) for path, leaf in named.items()}, {"format": FORMAT})
        for name, named in leaves.items()
    }
    head = {
        "format": FORMAT,
        "perdure": perdure.__version__,
        "jax": jax.__version__,
        "algorithm": name_of(type(algorithm)),
        "settings": dataclasses.asdict(algorithm),
        "steps": algorithm.steps_taken(state),
        "policy": describe(state.policy, registered_only=True),
        "env": env,
        "files": {name: {"size": len(data), "sha256": sha256(data)} for name, data in files.items()},
        "metadata": dict(metadata or {}),
    }
    put_in_place(directory, files | {METADATA: dumps_json(head)})


def put_in_place(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write the files beside the directory, in order and synced, then let them take its name."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = (directory.parent / f".{directory.name}.{secrets.token_hex(6)}.{what}" for what in ("tmp", "old"))
    temporary.mkdir()
    try:
        for name, data in files.items():
            atomic_write(temporary / name, data)
        if directory.exists():
            directory.rename(old)
        temporary.rename(directory)
    except BaseException:
        if old.exists() and not directory.exists():
            old.rename(directory)
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync_directory(directory.parent)
    shutil.rmtree(old, ignore_errors=True)


def load(directory: str | Path, *, buffer: bool = False, env: Any = None) -> Checkpoint:
    """What `save` has saved. Going on from the state gives the same bits as never having stopped, if `buffer` came along.

    `env` is needed only where `save` could not describe it. No class or function is taken that is not registered.

    Raises: FileNotFoundError, FileFormatError (a ValueError) naming the file that is damaged or does not fit, ValueError
    for `buffer=True` where none was saved.
    """
    directory = Path(directory)
    head = read_metadata(directory)
    if buffer and BUFFER not in head["files"]:
        raise ValueError(f"buffer=True, but {directory} was saved without one. Leave it out, or save with buffer=True.")
    names = [MODEL, OPTIMIZER, TRAINING, *([BUFFER] if buffer else [])]
    arrays: dict[str, Any] = {}
    for name in names:
        arrays |= read_tensors(directory / name, head["files"].get(name))
    try:
        algorithm, policy = new_algorithm(head["algorithm"], head["settings"]), policy_in(head, arrays)
        if env is None and head["env"] is not None:
            env = rebuild(head["env"], below(arrays, "env."), root="env")
        if env is None:
            return Checkpoint(algorithm, None, policy, False, head["metadata"])
        blank = eqx.filter_eval_shape(algorithm.begin, env, policy, key=jr.key(0))
        state = fill(blank, arrays, without=() if buffer else (BUFFER,))
    except FileFormatError as error:
        raise FileFormatError(f"{directory}: {error}") from error
    return Checkpoint(algorithm, state, policy, buffer or not hasattr(state, "buffer"), head["metadata"])


def new_algorithm(name: str, settings: dict[str, Any]) -> Any:
    """An algorithm by its registered name. Raises: FileFormatError for an unknown name or settings that it refuses."""
    found = lookup(name, "class")
    if not issubclass(found, AbstractAlgorithm):
        raise FileFormatError(f"{name!r} is no algorithm.")
    try:
        return found(**settings)
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"the settings of {name} do not fit this version: {error}") from error


def load_policy_of(directory: str | Path) -> Any:
    """The policy alone; nothing else is read. Raises: as `load`."""
    directory = Path(directory)
    head = read_metadata(directory)
    arrays = read_tensors(directory / MODEL, head["files"].get(MODEL))
    try:
        return policy_in(head, arrays)
    except FileFormatError as error:
        raise FileFormatError(f"{directory}: {error}") from error


def policy_in(head: dict[str, Any], arrays: Mapping[str, Any]) -> Any:
    """The policy among the arrays of `model_state.safetensors`. Raises: FileFormatError if they are not its own."""
    prefix = "learner.policy." if any(path.startswith("learner.") for path in arrays) else "policy."
    return rebuild(head["policy"], below(arrays, prefix))


def read_metadata(directory: Path) -> dict[str, Any]:
    """`metadata.json`, checked to be one of ours. Raises: FileNotFoundError, FileFormatError naming the file."""
    path = directory / METADATA
    try:
        head = loads_json(read_bytes(path))
        found = head.get("format") if isinstance(head, dict) else None
        if found != FORMAT:
            raise FileFormatError(f"format {str(found)[:40]!r} is not known to this version, which reads {FORMAT}.")
        kinds = {
            "algorithm": str,
            "settings": dict,
            "policy": dict,
            "files": dict,
            "metadata": dict,
            "env": dict | None,
        }
        for name, kind in kinds.items():
            if name not in head or not isinstance(head[name], kind):
                raise FileFormatError(f"{name!r} is missing or no {getattr(kind, '__name__', kind)}.")
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from error
    return head


def read_tensors(path: Path, entry: Any) -> dict[str, Any]:
    """The tensors of a file that has the size and digest that the metadata tell. Raises: FileFormatError naming it."""
    content = read_bytes(path)
    if not isinstance(entry, dict) or entry.get("size") != len(content) or entry.get("sha256") != sha256(content):
        raise FileFormatError(
            f"{path}: not the file that was saved with metadata.json: size or SHA-256 differ. Take another copy."
        )
    try:
        tensors, _, start = read_header(io.BytesIO(content), len(content))
        return view_tensors(content, tensors, start)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from error


def below(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Those whose path begins with `prefix`; as `rebuild` wants them, by the path below it."""
    return {path.removeprefix(prefix): array for path, array in arrays.items() if path.startswith(prefix)}


def fill(blank: Any, arrays: Mapping[str, Any], *, without: tuple[str, ...] = ()) -> Any:
    """`blank`, a tree with shapes in place of arrays, with the arrays by path; zeros for those of the files `without`.

    Raises: FileFormatError naming the first leaf that is missing, left over, or of another dtype or shape.
    """
    paths = [path for path, _ in leaves_with_paths(blank)]
    wanted = {path for path in paths if file_of(path) not in without}
    if missing := sorted(wanted - arrays.keys()):
        raise FileFormatError(f"{missing[0]} is missing from the files.")
    if left := sorted(arrays.keys() - set(paths)):
        raise FileFormatError(f"{left[0]} is in the files, but this training has no such array.")
    values = []
    for path, leaf in leaves_with_paths(blank):
        try:
            values.append(
                leaf_from_numpy(arrays[path], describe_leaf(leaf))
                if path in wanted
                else jnp.zeros(leaf.shape, leaf.dtype)
            )
        except FileFormatError as error:
            raise FileFormatError(f"{path}: {error}") from error
    stored = iter(values)
    return jax.tree.map(lambda x: next(stored) if is_stored(x) else x, blank)
