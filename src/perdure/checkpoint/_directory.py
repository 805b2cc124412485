"""A training state as a directory, with everything that going on exactly needs.

    metadata.json                what follows, and what is in the other files; written last
    model_state.safetensors      policy, critics, targets
    optim_state.safetensors      optimiser states
    train_state.safetensors      environments, memories, keys, counters, running statistics
    buffer_state.safetensors     replay buffer and priorities, only with `buffer=True`

`metadata.json` is canonical JSON: the format, the versions that wrote it, what its bits depend on (see `_numerics`), the
algorithm with its settings, the descriptions of policy, environment and the whole state (see `_state`), where a host environment
stands, size and SHA-256 of each file (see `_digest`), what the caller adds, and the SHA-256 of all that. So no bit of the
directory can change unnoticed, and no file may be missing or come from elsewhere.
"""

import dataclasses
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax import random as jr

import perdure.env  # so that our own environments and policies are registered
import perdure.policy
from perdure._core import (
    FileFormatError,
    Instance,
    atomic_write,
    check_finite,
    describe,
    describe_to_save,
    dumps_json,
    is_floating,
    leaf_to_numpy,
    leaves_with_paths,
    lookup,
    name_of,
    packages_of,
    put_in_place,
    readable,
    rebuild,
    sha256,
    to_date,
    version_of,
    write_new,
)
from perdure.algorithm import AbstractAlgorithm
from perdure.env.adapter import HostEnv, NotSavable

from ._digest import start_digest
from ._first_format import described_since, settings_since
from ._free import check_free
from ._metadata import FILES, FIRST_FORMAT, FORMAT, METADATA, MOST_VALUES, read, written_by
from ._numerics import in_words, numerics, other_numerics
from ._state import (
    BUFFER,
    MODEL,
    OPTIMIZER,
    TRAINING,
    Stored,
    Today,
    as_state,
    described,
    filled,
    of_today,
    stored,
    without_buffer,
)
from ._tensors import tensor_chunks

CONFIG = "model_config.json"  # beside the directory, not in it


class Checkpoint(NamedTuple):
    """What a directory holds."""

    algorithm: Any
    state: Any  # None where the environment could not be saved and was not given
    policy: Any
    has_buffer: bool  # False: the buffer in `state` is empty; `algorithm.refill` before going on
    host: dict[str, Any] | None  # where a host environment stood, for `HostEnv.restore`; or {"unknown": why}
    metadata: dict[str, Any]  # the caller's


def save(
    directory: str | Path,
    algorithm: Any,
    state: Any,
    *,
    env: HostEnv | None = None,
    buffer: bool = False,
    config: bool = False,
    force: bool = False,
    metadata: Mapping[str, Any] | None = None,
    allow_nonfinite: bool = False,
) -> None:
    """Save a training state. An environment of your own that is not registered is left out: give it to `load` then.

    The directory is put in place whole; with `force` it takes the place of an older one, which stays valid until then.

    Args:
        env: The host environment of a training on one, so that going on is exact; if it cannot be saved, a warning says why.
        buffer: With the replay buffer.
        config: With `model_config.json` beside the directory, which tells in words what is trained.
        force: Replace an existing checkpoint.
        metadata: Yours: anything that JSON has.
        allow_nonfinite: Save a policy, critics or optimisers with numbers that are not finite all the same.

    Raises: FileExistsError if there is one and not `force`, or if it is no checkpoint; ValueError for `buffer=True` where
    there is no buffer; NonFiniteError (a ValueError) naming the number unless `allow_nonfinite`; TypeError if the policy cannot
    be described; SaveError (an OSError) if the disk refuses.
    """
    contents = pack(algorithm, state, env=env, buffer=buffer, metadata=metadata, allow_nonfinite=allow_nonfinite)
    write(directory, contents, config=config, force=force)


class Contents(NamedTuple):
    """What a directory will hold: arrays by file and path, and `metadata.json` but for what is known of the files."""

    leaves: dict[str, dict[str, Any]]
    head: dict[str, Any]
    words: dict[str, Any]  # of `model_config.json`


def pack(
    algorithm: Any,
    state: Any,
    *,
    env: HostEnv | None,
    buffer: bool,
    metadata: Mapping[str, Any] | None,
    allow_nonfinite: bool = False,
) -> Contents:
    """What `save` writes. The arrays are those of the state, not copies."""
    if buffer and not hasattr(state, "buffer"):
        raise ValueError(f"buffer=True, but {type(algorithm).__name__} has no replay buffer. Leave it out.")
    form = stored(state)
    check_finite(form.learned(), "saving a checkpoint", allow_nonfinite=allow_nonfinite)
    tree = form.tree if buffer else without_buffer(form)
    leaves: dict[str, dict[str, Any]] = {name: {} for name in FILES[1:] if buffer or name != BUFFER}
    for path, leaf in leaves_with_paths(tree):
        leaves[form.file_of(path)][path] = leaf
    try:
        environment: Any = describe(state.env, root="env", registered_only=True)
    except TypeError:
        environment = None
    name, description = str(name_of(type(algorithm))), described(tree)
    head: dict[str, Any] = {
        "format": FORMAT,
        "perdure": perdure.__version__,
        "jax": jax.__version__,
        "numerics": numerics(),
        "packages": packages_of({"class": name, "state": description}),
        "algorithm": name,
        "algorithm_version": version_of(name),
        "settings": dataclasses.asdict(algorithm),
        "steps": algorithm.steps_taken(state),
        "policy": describe_to_save(state.policy)[0],
        "env": environment,
        "state": description,
        "host": None if env is None else where(env),
        "metadata": dict(metadata or {}),
    }
    # What JSON does not have, or is not read again, is refused before anything is written.
    head = readable(head, max_values=MOST_VALUES)
    words = {
        "algorithm": type(algorithm).__name__,
        "settings": head["settings"],
        "policy": type(state.policy).__name__,
        "observation_space": str(state.policy.observation_space),
        "action_space": str(state.policy.action_space),
        "environment": state.env.name,
        **head["metadata"],
    }
    return Contents(leaves, head, words)


def where(env: HostEnv) -> dict[str, Any]:
    """Where a host environment stands, or why that cannot be told, with a warning."""
    try:
        return env.state()
    except NotSavable as error:
        warnings.warn(f"{env.name} cannot be saved, so its episodes begin anew on resuming: {error}.", stacklevel=5)
        return {"unknown": str(error), "making": env.making}


def write(directory: str | Path, contents: Contents, *, config: bool, force: bool) -> None:
    """Put a directory with these contents in place."""

    def fill(folder: Path) -> None:
        files = {}
        for name, leaves in contents.leaves.items():
            arrays = {path: leaf_to_numpy(leaf) for path, leaf in leaves.items()}
            files[name] = write_hashed(folder / name, tensor_chunks(arrays, {"format": FORMAT}))
        head = {**contents.head, "files": files}
        write_new(folder / METADATA, [dumps_json({**head, "digest": sha256(dumps_json(head))})])

    put_in_place(Path(directory), fill, check=lambda found: check_free(found, force, FILES))
    if config:
        atomic_write(Path(directory).parent / CONFIG, dumps_json(contents.words))


def write_hashed(path: Path, chunks: list[bytes | memoryview]) -> dict[str, Any]:
    """Write and sync a new file; its entry, which other threads work out meanwhile if there is much of it."""
    finish = start_digest(chunks)
    try:
        write_new(path, chunks)
    finally:
        entry = finish()
    return entry


def load(directory: str | Path, *, buffer: bool = False, env: Any = None) -> Checkpoint:
    """What `save` has saved. Going on from the state gives the same bits as never having stopped, if `buffer` came along.

    That holds where flags of JAX, its version and the device are those of then; a warning says which of them differ.
    `env` is needed only where `save` could not describe it. A `HostEnv` is put where the saved one stood; if that is not
    possible, a warning says why. No class or function is taken that is not registered.

    Raises: FileNotFoundError, FileFormatError (a ValueError) naming the file that is damaged, missing, too many or does not
    fit, ValueError for `buffer=True` where none was saved.
    """
    directory = Path(directory)
    head, files = read(directory, (MODEL, OPTIMIZER, TRAINING, *([BUFFER] if buffer else [])))
    try:
        algorithm, policy = algorithm_in(head), policy_in(head, files[MODEL])
        if isinstance(env, HostEnv):
            put_back(env, head["host"])
            env = env.spec
        if env is None and head["env"] is not None:
            env = rebuild(head["env"], below(files[TRAINING], "env."), root="env", written_by=written_by(head))
        if env is None:
            return Checkpoint(algorithm, None, policy, False, head["host"], head["metadata"])
        say_other_numerics(directory, head)
        blank = eqx.filter_eval_shape(algorithm.begin, env, policy, key=jr.key(0))
        form = stored(blank)
        others = paths_of_both_formats(blank) if head["format"] == FIRST_FORMAT else {}
        state = as_state(blank, filled(form, state_of_today(head, files, form, others), has_buffer=buffer))
    except FileFormatError as error:
        raise FileFormatError(f"{directory}: {error}") from error
    has_buffer = buffer or not hasattr(state, "buffer")
    return Checkpoint(algorithm, state, policy, has_buffer, head["host"], head["metadata"])


def say_other_numerics(directory: Path, head: Mapping[str, Any]) -> None:
    """Warn where this process computes otherwise than the one that saved."""
    if differing := other_numerics(head.get("numerics")):
        warnings.warn(
            f"{directory}: {in_words(differing)}. Going on from it is not to the bit as if it had never stopped.",
            stacklevel=4,
        )


def put_back(env: HostEnv, host: dict[str, Any] | None) -> None:
    """Put a host environment where the saved one stood; if that is not possible, begin anew, with a warning."""
    if env.observation is None:
        env.reset(seed=0)
    why = "it was not given to save" if host is None else host.get("unknown")
    if why is None:
        try:
            return env.restore(host)
        except FileFormatError as error:
            why = str(error)
    warnings.warn(f"{env.name} could not be put where it stood, so its episodes begin anew: {why}.", stacklevel=4)
    return None


def algorithm_in(head: Mapping[str, Any]) -> Any:
    """The algorithm with its settings, brought to today's version.

    Raises: FileFormatError for an unknown name, other settings than the class has, or values that it refuses.
    """
    settings = head["settings"]
    if head["format"] == FIRST_FORMAT:
        settings = settings_since(head["algorithm"], settings)
    saved = Instance(head["algorithm"], settings, head.get("algorithm_version", 1))
    today = to_date(saved, "algorithm", written_by(head))
    name, settings = today.name, today.fields
    found = lookup(name, "class")
    if not issubclass(found, AbstractAlgorithm):
        raise FileFormatError(f"{name[:200]!r} is no algorithm.")
    known = {field.name for field in dataclasses.fields(found)}
    if other := sorted(known ^ settings.keys()):
        told = "lacks the setting" if other[0] in known else "has the setting"
        raise FileFormatError(
            f"the file {told} {other[0][:80]!r} of {name}. Say what it meant then: @register(name={name!r}, "
            "upgrades=[added(...)]) or renamed or removed, see perdure.utils."
        )
    try:
        return found(**settings)
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"the settings of {name} do not fit this version: {str(error)[:400]}") from error


def state_of_today(
    head: Mapping[str, Any],
    files: Mapping[str, dict[str, Any]],
    form: Stored | None = None,
    others: Mapping[str, str] = MappingProxyType({}),
) -> Today:
    """What the files say of the training state, brought to the classes of today.

    `form` is a state of shapes; without it the moments of a parameter that a step has made are what the step gives. `others`
    are the paths of both formats for optimisers that are not ours (see `described_since`).
    """
    arrays, moments, description = together(files), set(files[OPTIMIZER]), head.get("state")
    if head["format"] == FIRST_FORMAT:
        rest = arrays.keys() - moments
        description, arrays = described_since(head, arrays, others)
        moments = arrays.keys() - rest
    return of_today(description, arrays, moments, form, written_by(head))


def together(files: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The arrays of all files by path."""
    return {path: array for arrays in files.values() for path, array in arrays.items()}


def load_policy_of(directory: str | Path) -> Any:
    """The policy alone; no file but its own is read. Raises: as `load`."""
    directory = Path(directory)
    head, files = read(directory, (MODEL,))
    try:
        return policy_in(head, files[MODEL])
    except FileFormatError as error:
        raise FileFormatError(f"{directory}: {error}") from error


def verify(directory: str | Path) -> dict[str, Any]:
    """`metadata.json`, with every file of the checkpoint read and found whole. Raises: as `load`."""
    return read(Path(directory), FILES[1:], optional=True)[0]


def holds_nan(directory: Path) -> bool:
    """Whether policy, critics or optimisers of a checkpoint hold a NaN; every file is read. Raises: as `verify`."""
    files = read(directory, FILES[1:], optional=True)[1]
    arrays = [array for name in (MODEL, OPTIMIZER) for array in files[name].values()]
    return any(np.isnan(array).any() for array in arrays if is_floating(array))


def policy_in(head: dict[str, Any], arrays: Mapping[str, Any]) -> Any:
    """The policy among the arrays of `model_state.safetensors`. Raises: FileFormatError if they are not its own."""
    prefix = "learner.policy." if any(path.startswith("learner.") for path in arrays) else "policy."
    return rebuild(head["policy"], below(arrays, prefix), written_by=written_by(head))


def below(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Those whose path begins with `prefix`; as `rebuild` wants them, by the path below it."""
    return {path.removeprefix(prefix): array for path, array in arrays.items() if path.startswith(prefix)}


def paths_of_both_formats(blank: Any) -> dict[str, str]:
    """The path in format 1 -> that in format 2 of each array of an optimiser, as the installed optax has them."""
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype) if is_shape(x) else x, blank)
    first = {id(leaf): path for path, leaf in leaves_with_paths(shapes)}  # each leaf is an object of its own now
    second = leaves_with_paths(stored(shapes).tree)
    return {first[id(leaf)]: path for path, leaf in second if id(leaf) in first}


def is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)
