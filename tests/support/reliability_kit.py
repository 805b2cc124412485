"""What the tests of reliability share: how many cases to run, and small saves that tell which one they are.

Every array of a marked save is filled with its marker, and so is its metadata. So a mixture of two saves is seen, even
where every digest is right.
"""

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jax import random as jr

from perdure._core import dumps_json, leaf_to_numpy, packages_of, sha256
from perdure._core._history import has_history
from perdure.checkpoint._directory import Contents, pack
from perdure.checkpoint._metadata import FILES, METADATA, read
from perdure.checkpoint._tensors import lay_out
from perdure.utils import Serializable, register

FULL = os.environ.get("PERDURE_RELIABILITY") == "full"


def count(reduced: int, full: int) -> int:
    """How many cases to run: `full` with PERDURE_RELIABILITY=full in the environment."""
    return full if FULL else reduced


@register(name="tests.reliability.Tiny")
class Tiny(Serializable):
    """A policy that is quick to save and to load."""

    weight: np.ndarray
    bias: np.ndarray
    marker: int

    def __init__(self, marker: int = 0):
        self.weight, self.bias = np.full((8, 4), marker, np.float32), np.full(8, marker, np.int64)
        self.marker = marker


def filled(array: np.ndarray, marker: int) -> np.ndarray:
    return np.full(array.shape, marker % 120).astype(array.dtype)


def marked(contents: Contents, marker: int) -> Contents:
    """`contents` of a save at step `marker`, with all its arrays filled with it."""
    leaves = {
        name: {path: filled(array, marker) for path, array in arrays.items()}
        for name, arrays in contents.leaves.items()
    }
    head = {**contents.head, "steps": marker, "metadata": {"marker": marker}}
    return contents._replace(leaves=leaves, head=head, words={"marker": marker})


def marker_of(directory: Path) -> int:
    """The marker of a marked save, of which every byte is read. Raises: what `read` does; ValueError for a mixture."""
    head, files = read(directory, FILES[1:], optional=True)
    marker = head["metadata"]["marker"]
    arrays = {path: array for inside in files.values() for path, array in inside.items()}
    if wrong := [path for path, array in arrays.items() if (array != filled(array, marker)).any()]:
        raise ValueError(f"{directory} is of {marker}, but not {wrong}")
    return marker


def marker_of_module(module: Tiny) -> int:
    """The marker of a `Tiny`. Raises: ValueError for a mixture."""
    if not ((module.weight == module.marker).all() and (module.bias == module.marker).all()):
        raise ValueError(f"{module.marker} is not the marker of all of {module}")
    return module.marker


def contents_of(algorithm: Any, state: Any, *, buffer: bool = False) -> Contents:
    """What a save of this state holds, with plain numpy arrays, so that no device is needed to write it."""
    contents = pack(algorithm, state, env=None, buffer=buffer, metadata=None)
    leaves = {
        name: {path: leaf_to_numpy(leaf) for path, leaf in arrays.items()} for name, arrays in contents.leaves.items()
    }
    return contents._replace(leaves=leaves)


def new_state(algorithm: Any, env: Any, policy: Any) -> Any:
    """A state as training begins with it."""
    return algorithm.begin(env, policy, key=jr.key(0))


def resign(directory: Path, change: Mapping[str, Any] | None = None) -> None:
    """Give the metadata of a checkpoint other values, and right digests, as whoever forges one would."""
    head = json.loads((directory / METADATA).read_bytes())
    head.pop("digest")
    head |= change or {}
    (directory / METADATA).write_bytes(dumps_json({**head, "digest": sha256(dumps_json(head))}))


def entry_of(path: Path) -> dict[str, Any]:
    """What `files` in the metadata says of a file."""
    return {"size": path.stat().st_size, "sha256": sha256(path.read_bytes())}


def copy_of(directory: Path) -> dict[str, bytes]:
    """The files of a checkpoint by name."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def put(directory: Path, files: Mapping[str, bytes]) -> Path:
    """A directory with exactly these files."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.iterdir():
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory


def raw_tensors(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file, without the refusal to write what would not be read."""
    entries, pieces = lay_out(tensors)
    text = json.dumps({"__metadata__": metadata, **entries}).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(pieces)


def signed_policy(description: Any, tensors: Mapping[str, np.ndarray], **more: str) -> bytes:
    """A policy file with right fingerprint and digest, whatever it describes."""
    metadata = {
        "format": "perdure.policy/1",
        "description": dumps_json(description).decode(),
        "fingerprint": sha256(dumps_json([1, description])),
        "metadata": "{}",
        "perdure": "0",
        "jax": "0",
        **more,
    }
    codes = {"float32": "F32", "int64": "I64", "bool": "BOOL", "uint32": "U32", "int32": "I32", "float64": "F64"}
    rows = [[n, codes[a.dtype.name], list(a.shape), sha256(a.tobytes())] for n, a in sorted(tensors.items())]
    return raw_tensors(tensors, {**metadata, "digest": sha256(dumps_json([metadata, rows]))})


def signed_eqx(description: Any, leaves: bytes = b"") -> bytes:
    """An `.eqx` file with right digests, whatever it holds."""
    number = 2 if has_history(description) else 1
    text = dumps_json([description, packages_of(description)] if number == 2 else description)
    start = bytes.fromhex(sha256(dumps_json([1, description]))) + leaves + text
    start += struct.pack("<QI8s", len(text), number, b"PERDURE\n")
    return start + hashlib.sha256(start).digest()
