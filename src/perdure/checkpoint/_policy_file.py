"""One self-describing file for one policy: `policy.safetensors`, what one publishes.

A safetensors file whose tensors are the leaves by path (`actor.layers.0.weight`) and whose metadata are strings:

    format        "perdure.policy/1"
    description   canonical JSON of everything but the leaves' values (see `perdure._core._description`)
    fingerprint   SHA-256 of the canonical JSON of [1, description]; the same as in an `.eqx` file of the policy
    metadata      the user's own, canonical JSON
    perdure, jax  the versions that wrote it
    packages      of classes that are not Perdure's, the packages that define them with their versions, canonical JSON
    digest        SHA-256, in hexadecimal, of the canonical JSON of [m, t]: m is the metadata without the digest, t the
                  list, sorted by name, of [name, dtype code, shape, SHA-256 of the tensor's bytes in hexadecimal]

Canonical JSON: keys sorted, no spaces, ASCII.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax

import perdure.policy  # so that our own policies are registered
from perdure._core import (
    FileFormatError,
    atomic_write,
    check_finite,
    describe_to_save,
    dumps_json,
    fingerprint_of,
    leaf_to_numpy,
    leaves_with_paths,
    listing,
    loads_json,
    open_regular,
    packages_of,
    readable,
    rebuild,
    sha256,
    with_suffix,
)

from ._format import check_format
from ._tensors import lay_out, put_together, read_header, view_tensors

FORMAT = "perdure.policy/1"
_STRINGS = ("description", "digest", "fingerprint", "jax", "metadata", "perdure")


class PolicyHeader(NamedTuple):
    """What a policy file says of itself."""

    description: Any  # JSON, see `perdure._core._description`
    fingerprint: str  # 64 hexadecimal digits
    digest: str  # 64 hexadecimal digits; compared with the content by `load_policy`, not when only the header is read
    metadata: dict[str, Any]  # the user's
    perdure_version: str
    jax_version: str
    tensors: dict[str, str]  # path -> "F32[64,4]"
    written_by: dict[str, str]  # package -> version

    def listing(self) -> list[tuple[str, str]]:
        """Every field as `(path, value in words)`."""
        return list(listing(self.description))


def _digest(metadata: Mapping[str, str], entries: Mapping[str, Any], data: Mapping[str, bytes | memoryview]) -> str:
    def spell(name: str) -> list[Any]:
        return [name, entries[name]["dtype"], entries[name]["shape"], sha256(data[name])]

    named = {name: text for name, text in metadata.items() if name != "digest"}
    return sha256(dumps_json([named, [spell(name) for name in sorted(entries)]]))


def save_policy(
    path: str | Path, policy: eqx.Module, *, metadata: Mapping[str, Any] | None = None, allow_nonfinite: bool = False
) -> None:
    """Save a policy (or any module) as one file that says by itself what it holds.

    `.safetensors` is added to `path` if missing. A file that was there is replaced in one step. `metadata` is yours:
    anything that JSON has, given back by `read_policy_header`.

    Raises: TypeError if a field cannot be saved or its class is not registered, ValueError for metadata not in JSON,
    NonFiniteError (a ValueError) for a parameter that is not finite, or a constant that is NaN, unless `allow_nonfinite`.
    """
    path = with_suffix(path, ".safetensors")
    if getattr(policy, "must_be_finite", False):  # a module that is no policy may hold what it likes
        check_finite(policy, f"saving {path.name}", allow_nonfinite=allow_nonfinite)
    description, fingerprint = describe_to_save(policy)
    tensors = {name: leaf_to_numpy(leaf) for name, leaf in leaves_with_paths(policy)}
    header = {
        "format": FORMAT,
        "description": dumps_json(description).decode(),
        "fingerprint": fingerprint.hex(),
        "metadata": dumps_json(readable(dict(metadata or {}))).decode(),
        "perdure": perdure.__version__,
        "jax": jax.__version__,
    }
    if others := {name: version for name, version in packages_of(description).items() if name != "perdure"}:
        header["packages"] = dumps_json(others).decode()
    entries, pieces = lay_out(tensors)
    digest = _digest(header, entries, dict(zip(entries, pieces, strict=True)))
    atomic_write(path, put_together(entries, pieces, {**header, "digest": digest}))


def _parse_header(metadata: dict[str, str], tensors: dict[str, Any]) -> PolicyHeader:
    if "format" not in metadata:
        raise FileFormatError("a safetensors file, but not one of a Perdure policy: its metadata has no 'format'.")
    check_format(metadata["format"], (FORMAT,), metadata.get("perdure"))
    if missing := [name for name in _STRINGS if name not in metadata]:
        raise FileFormatError(f"the metadata has no {', '.join(missing)}.")
    description, user = loads_json(metadata["description"]), loads_json(metadata["metadata"])
    if fingerprint_of(description).hex() != metadata["fingerprint"]:
        raise FileFormatError("the fingerprint is not that of the description in the file.")
    if not isinstance(user, dict):
        raise FileFormatError("the user's metadata is not a JSON object.")
    shapes = {name: f"{e['dtype']}[{','.join(map(str, e['shape']))}]" for name, e in tensors.items()}
    others = loads_json(metadata.get("packages", "{}"))
    if not isinstance(others, dict) or not all(isinstance(version, str) for version in others.values()):
        raise FileFormatError("the metadata's packages are not a JSON object of strings.")
    versions = metadata["perdure"], metadata["jax"]
    packages = {**others, "perdure": metadata["perdure"]}
    return PolicyHeader(description, metadata["fingerprint"], metadata["digest"], user, *versions, shapes, packages)


def read_policy_header(path: str | Path) -> PolicyHeader:
    """What a policy file says of itself. Reads the header only: no class is needed, and the digest is not compared.

    Raises: FileFormatError naming the file, FileNotFoundError naming the path that was tried.
    """
    path = with_suffix(path, ".safetensors")
    with open_regular(path) as file:
        try:
            tensors, metadata, _ = read_header(file, os.fstat(file.fileno()).st_size)
            return _parse_header(metadata, tensors)
        except FileFormatError as error:
            raise FileFormatError(f"{path}: {error}") from error


def load_policy(path: str | Path) -> Any:
    """The policy in a file, without constructor arguments or an environment.

    `.safetensors` is added to `path` if missing. Nothing in the file is run or imported: its classes and functions must
    be registered, which Perdure's own are, and yours are once their module is imported.

    Raises: FileFormatError (a ValueError) naming the file, for any changed bit, truncation or unknown class;
    FileNotFoundError naming the path that was tried.
    """
    path = with_suffix(path, ".safetensors")
    with open_regular(path) as file:
        try:
            tensors, metadata, _ = read_header(file, os.fstat(file.fileno()).st_size)
            content = file.read()  # after the header, so that what is no such file is not read, however large
            data = {name: memoryview(content)[slice(*entry["data_offsets"])] for name, entry in tensors.items()}
            if "format" in metadata and _digest(metadata, tensors, data) != metadata.get("digest"):
                raise FileFormatError("the file is damaged: its digest is not that of its content. Take another copy.")
            header = _parse_header(metadata, tensors)
            return rebuild(header.description, view_tensors(content, tensors, 0), written_by=header.written_by)
        except FileFormatError as error:
            raise FileFormatError(f"{path}: {error}") from error
