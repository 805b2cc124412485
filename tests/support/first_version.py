"""Loads the files of the first version, acts and trains on; also as a program, for sources that a test has changed.

python first_version.py FOLDER NAME ...      prints what came of them as JSON; a training is named trainings/NAME
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import random as jr

from perdure import checkpoint, policy
from perdure._core import leaf_to_numpy, leaves_with_paths

FOLDER = Path(__file__).parents[1] / "golden" / "first_version"
STEPS = 4


def answers(one: Any) -> list[Any]:
    """The actions of a policy on a few observations, one after the other."""
    state, actions = one.reset(key=jr.key(0)), []
    for key in jr.split(jr.key(1), STEPS):
        state, action = one(state, one.observation_space.sample(key=key))
        actions.append(np.asarray(action).tolist())
    return actions


def arrays_of(tree: Any) -> list[str]:
    """The digests of all arrays but keys and numbers, sorted: the same whatever the fields are called and where they stand."""
    leaves = [leaf_to_numpy(leaf) for _, leaf in leaves_with_paths(tree) if isinstance(leaf, jax.Array)]
    return sorted(hashlib.sha256(f"{x.dtype}{x.shape}".encode() + x.tobytes()).hexdigest()[:16] for x in leaves)


def trained_on(path: Path, iterations: int = 3) -> Any:
    """The state of a checkpoint after some more iterations."""
    found = checkpoint.load(path, buffer=(path / "buffer_state.safetensors").exists())
    return found.algorithm.run(found.state, iterations * found.algorithm.steps_per_iteration)


def outcome(folder: Path, name: str) -> dict[str, Any]:
    """What a file holds and does: a policy its actions and arrays, a training those after a while, and its whole state."""
    if name.startswith("trainings/"):
        state = trained_on(folder / name)
        return {"actions": answers(state.policy), "policy": arrays_of(state.policy), "state": arrays_of(state)}
    loaded = checkpoint.load_policy(folder / name)
    constructor = getattr(policy, f"{name.split('-')[0]}Policy")
    return {"actions": answers(loaded), "policy": arrays_of(loaded), "is_named": isinstance(loaded, constructor)}


if __name__ == "__main__":
    folder, *names = sys.argv[1:]
    print(json.dumps({name: outcome(Path(folder), name) for name in names}))
