"""Two policies or checkpoints side by side: what differs, and by how much."""

from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr

from perdure._core import dumps_json, leaf_to_numpy, leaves_with_paths, listing
from perdure.policy import check_same_spaces

from ._directory import policy_in, state_of_today
from ._metadata import METADATA, read
from ._policy_file import load_policy, read_policy_header
from ._state import BUFFER, MODEL, OPTIMIZER, TRAINING


class Compared(NamedTuple):
    """One side of a comparison."""

    is_checkpoint: bool  # or a policy alone
    policy: Any
    fields: dict[str, str]  # path -> value in words: of the policy's description, `settings.NAME`, `steps`, ...
    arrays: dict[str, np.ndarray]


class ArrayDifference(NamedTuple):
    path: str
    one: str  # "float32[64,4]", or "-" where there is none
    other: str
    differing: float | None  # share of the entries that differ; None where they cannot be compared
    largest: float | None  # biggest absolute difference


class ActionDifference(NamedTuple):
    """How differently two policies act, on observations sampled from their space."""

    observations: int
    differing: float  # share of them on which the actions are not equal
    largest: float  # biggest absolute difference of an action's entry


def read_side(path: Path) -> Compared:
    """A policy file, or a checkpoint without its replay buffer. Raises: what reading them raises."""
    if (path / METADATA).exists():
        head, files = read(path, (MODEL, OPTIMIZER, TRAINING))
        kept = {name: head[name] for name in ("steps", "settings", "perdure", "jax", "metadata")}
        kept |= {"numerics": head.get("numerics", {}), "algorithm": head["algorithm"].split(".")[-1]}
        kept |= {"buffer": BUFFER in head["files"]}
        arrays = {p.removeprefix("learner."): array for p, array in state_of_today(head, files).arrays.items()}
        fields = {**words(kept), **dict(listing(head["policy"]))}
        return Compared(True, policy_in(head, files[MODEL]), fields, arrays)
    policy, header = load_policy(path), read_policy_header(path)
    said = dict(header.metadata)
    kept = {name: said.pop(name) for name in ("algorithm", "steps", "settings") if name in said}
    kept |= {"perdure": header.perdure_version, "jax": header.jax_version, "metadata": said}
    arrays = {f"policy.{name}": leaf_to_numpy(leaf) for name, leaf in leaves_with_paths(policy)}
    return Compared(False, policy, {**words(kept), **dict(header.listing())}, arrays)


def words(value: Any, path: str = "") -> dict[str, str]:
    """JSON as `{path: value}`."""
    if not isinstance(value, dict) or not value:
        return {path: dumps_json(value).decode()}
    return {p: w for name, x in value.items() for p, w in words(x, f"{path}.{name}" if path else name).items()}


def paths_of(one: Compared, other: Compared, what: str) -> list[str]:
    """The paths to compare, in their order; of a policy and a checkpoint, those that both have."""
    ours, theirs = getattr(one, what), getattr(other, what)
    paths = dict.fromkeys([*ours, *theirs])
    return [path for path in paths if one.is_checkpoint == other.is_checkpoint or (path in ours and path in theirs)]


def compare_fields(one: Compared, other: Compared) -> list[tuple[str, str, str]]:
    """`(path, value, other value)` where the fields differ; "-" where one is only on one side."""
    pairs = ((path, one.fields.get(path, "-"), other.fields.get(path, "-")) for path in paths_of(one, other, "fields"))
    return [entry for entry in pairs if entry[1] != entry[2]]


def compare_arrays(one: Compared, other: Compared) -> list[ArrayDifference]:
    """The arrays that are not equal bit for bit, by path."""
    found = []
    for path in sorted(paths_of(one, other, "arrays")):
        pair = [side.arrays.get(path) for side in (one, other)]
        ours, theirs = ("-" if x is None else f"{x.dtype}[{','.join(map(str, x.shape))}]" for x in pair)
        a, b = pair
        if a is None or b is None or ours != theirs:
            found.append(ArrayDifference(path, ours, theirs, None, None))
        elif a.tobytes() != b.tobytes():
            apart = np.abs(a.astype(np.float64) - b.astype(np.float64))
            both_nan = np.isnan(a.astype(np.float64)) & np.isnan(b.astype(np.float64))
            apart = np.where(both_nan, 0.0, apart)
            found.append(ArrayDifference(path, ours, theirs, float((apart != 0).mean()), float(apart.max())))
    return found


def compare_actions(one: Any, other: Any, *, num_observations: int = 10_000) -> ActionDifference:
    """How differently two policies act; deterministic actions, each observation the first of an episode.

    Raises: ValueError if they are for other spaces.
    """
    check_same_spaces(one, other)

    @eqx.filter_jit
    def act(policy: Any, keys: Any) -> Any:
        def answer(key: Any) -> Any:
            return policy(policy.reset(key=key), policy.observation_space.sample(key=key))[1]

        return jax.vmap(answer)(keys)

    keys = jr.split(jr.key(0), num_observations)
    pairs = zip(jax.tree.leaves(act(one, keys)), jax.tree.leaves(act(other, keys)), strict=True)
    apart = [
        jnp.abs(a.astype(jnp.float32) - b.astype(jnp.float32)).reshape(num_observations, -1).max(1) for a, b in pairs
    ]
    largest = jnp.stack(apart).max(0)
    return ActionDifference(num_observations, float((largest != 0).mean()), float(largest.max()))
