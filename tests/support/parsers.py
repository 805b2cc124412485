"""The parsers of files from strangers: what each may raise, and how to make hostile files that pass the digests.

Used by Hypothesis in `test_parsers.py` and by the coverage-guided targets in `fuzz/`.
"""

import contextlib
import hashlib
import io
import json
import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from perdure._core import FileFormatError, FingerprintError, dumps_json, sha256
from perdure.checkpoint import load_policy, read_policy_header, save_policy
from perdure.checkpoint._metadata import METADATA, read_metadata
from perdure.checkpoint._tensors import read_header
from tests.support.reliability_kit import Tiny

_KEPT = tempfile.TemporaryDirectory(
    dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None
)  # until the process ends
FOLDER = Path(_KEPT.name)
ALLOWED = (FileFormatError, FingerprintError, FileNotFoundError)


class Parser(NamedTuple):
    """`parse` takes a file's bytes; `sign` puts right digests into them, where they still have a place for them."""

    parse: Callable[[bytes], Any]
    sign: Callable[[bytes], bytes]
    valid: bytes


def parse_metadata(content: bytes) -> Any:
    (FOLDER / METADATA).write_bytes(content)
    return read_metadata(FOLDER)


def sign_metadata(content: bytes) -> bytes:
    try:
        head = json.loads(content)
        head.pop("digest", None)
        return dumps_json({**head, "digest": sha256(dumps_json(head))})
    except (ValueError, TypeError, AttributeError, RecursionError):
        return content


def parse_header(content: bytes) -> Any:
    return read_header(io.BytesIO(content), len(content))


def parse_policy(content: bytes) -> Any:
    path = FOLDER / "policy.safetensors"
    path.write_bytes(content)
    with contextlib.suppress(*ALLOWED):
        read_policy_header(path)
    return load_policy(path)


def sign_policy(content: bytes) -> bytes:
    """With the length of the header, the fingerprint and the digest that the rest asks for."""
    try:
        length = int.from_bytes(content[:8], "little")
        header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
        metadata = header["__metadata__"]
        metadata.pop("digest", None)
        metadata["fingerprint"] = sha256(dumps_json([1, json.loads(metadata["description"])]))
        rows = [
            [name, entry["dtype"], entry["shape"], sha256(data[slice(*entry["data_offsets"])])]
            for name, entry in sorted(header.items())
            if name != "__metadata__"
        ]
        metadata["digest"] = sha256(dumps_json([metadata, rows]))
        text = dumps_json(header)
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text + data
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return content


def parse_eqx(content: bytes) -> Any:
    path = FOLDER / "tiny.eqx"
    path.write_bytes(content)
    return Tiny.deserialize(path)


def sign_eqx(content: bytes) -> bytes:
    """With the digest, and the fingerprint of the description if that can be found."""
    if len(content) < 84:
        return content
    body = content[:-32]
    length = struct.unpack("<Q", body[-20:-12])[0]
    try:
        description = json.loads(body[len(body) - 20 - length : -20]) if length < len(body) else None
        body = bytes.fromhex(sha256(dumps_json([1, description]))) + body[32:]
    except (ValueError, TypeError, RecursionError):
        pass
    return body + hashlib.sha256(body).digest()


def parsers() -> dict[str, Parser]:
    save_policy(FOLDER / "valid", Tiny(3), metadata={"a": [1, 2.5, "b"]})
    policy = (FOLDER / "valid.safetensors").read_bytes()
    Tiny(3).serialize(FOLDER / "valid")
    head = {
        "format": "perdure.checkpoint/1",
        "perdure": "0.1",
        "jax": "0.7",
        "algorithm": "PPO",
        "settings": {"clip": 0.2},
        "steps": 3,
        "policy": {"class": "Tiny", "fields": [["weight", None]]},
        "env": None,
        "host": None,
        "files": {f"{part}_state.safetensors": {"size": 8, "sha256": "0" * 64} for part in ("model", "optim", "train")},
        "metadata": {"a": [1, 2.5, "b", None, True]},
    }
    return {
        "metadata": Parser(parse_metadata, sign_metadata, sign_metadata(dumps_json(head))),
        "header": Parser(parse_header, lambda content: content, policy),
        "policy": Parser(parse_policy, sign_policy, policy),
        "eqx": Parser(parse_eqx, sign_eqx, (FOLDER / "valid.eqx").read_bytes()),
    }
