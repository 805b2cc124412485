"""`.eqx` files: `module.serialize(path)` and `Module.deserialize(path, *constructor_arguments)`.

Layout, integers little-endian:

    32 bytes   fingerprint: SHA-256 of the canonical JSON of [format number, description]
    ...        the leaves one after the other, each as numpy's .npy, in the order of `equinox.tree_serialise_leaves`
    n bytes    the description, canonical JSON (see `_description`)
    8 bytes    n
    4 bytes    format number: 1, or 2 where a class in the description has a history; then the n bytes are the canonical
               JSON of [description, {package: the version that wrote it}]
    8 bytes    magic "PERDURE" and a newline
    32 bytes   SHA-256 of all bytes before it
"""

import hashlib
import io
import math
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, SupportsIndex, TypeVar

import equinox as eqx
import jax
import numpy as np

from ._description import describe, fingerprint_of
from ._differences import differences
from ._errors import FileFormatError, FingerprintError
from ._files import atomic_write, open_regular, with_suffix
from ._finite import check_finite
from ._history import NOBODY, has_history, is_current, leaf_nodes, packages_of, upgraded
from ._json import dumps_json, loads_json
from ._leaves import check_leaf, describe_leaf, is_stored, leaf_from_numpy, leaf_to_numpy, leaves_with_paths
from ._rebuild import describe_to_save, rebuild
from ._registry import register_if_free

S = TypeVar("S")  # not typing.Self, which beartype takes only on classes it decorates itself
_PLAIN, _WITH_HISTORY = FORMATS = (1, 2)
_MAGIC = b"PERDURE\n"
_FOOTER = struct.Struct("<QI8s")
_NPY = b"\x93NUMPY"
_SMALLEST = 32 + _FOOTER.size + 32


def _root(cls: type) -> str:
    """What messages call the module: "policy" for a policy, else its class."""
    return "policy" if "policy" in cls.__name__.lower() else cls.__name__


def _pack(module: Any) -> bytes:
    """The content of an `.eqx` file."""
    description = describe(module, root=_root(type(module)))
    body = io.BytesIO()
    body.write(fingerprint_of(description))
    for _, leaf in leaves_with_paths(module):
        np.save(body, leaf_to_numpy(leaf), allow_pickle=False)
    number = _WITH_HISTORY if has_history(description) else _PLAIN
    text = dumps_json(description if number == _PLAIN else [description, packages_of(description)])
    body.write(text + _FOOTER.pack(len(text), number, _MAGIC))
    body.write(hashlib.sha256(body.getbuffer()).digest())
    return body.getvalue()


def _unpickled(cls: type[S], data: bytes) -> S:
    """The module whose content a pickle holds. `cls` is there so that the pickle imports, and so registers, it."""
    content = _check(data)
    module = rebuild(content.description, _read_arrays(content), root=_root(cls), written_by=content.written_by)
    if type(module) is not cls:
        raise FileFormatError(f"the pickle says {cls.__name__}, but what it holds is of {type(module).__name__}.")
    return module


def _read(path: Path) -> bytes:
    """The whole of a file that ends as ours do; of any other, which may be of any size, only the beginning."""
    with open_regular(path) as file:
        file.seek(max(os.fstat(file.fileno()).st_size - 40, 0))
        is_ours = file.read(8) == _MAGIC
        file.seek(0)
        return file.read() if is_ours else file.read(_SMALLEST)


class _Parts(NamedTuple):
    """A file that is whole."""

    fingerprint: bytes
    leaves: bytes
    text: bytes
    number: int


def _split(data: bytes) -> _Parts:
    if len(data) < _SMALLEST or data[-40:-32] != _MAGIC:
        foreign = ""
        if data.startswith(_NPY):
            foreign = " It looks like a file of equinox.tree_serialise_leaves; read it with tree_deserialise_leaves."
        elif data[32 : 32 + len(_NPY)] == _NPY:
            foreign = " If another library wrote it (Lerax has such files), import it with perdure.importer."
        raise FileFormatError(f"not a Perdure .eqx file, or it was cut off: the footer is missing.{foreign}")
    if hashlib.sha256(data[:-32]).digest() != data[-32:]:
        raise FileFormatError("the file is damaged: its SHA-256 is not the one in its footer. Take another copy.")
    length, number, _ = _FOOTER.unpack(data[-_SMALLEST + 32 : -32])
    if number not in FORMATS:
        raise FileFormatError(
            f"format {number} is unknown to this version, which reads format {' and '.join(map(str, FORMATS))}. "
            "Update perdure: pip install --upgrade perdure."
        )
    end = len(data) - _FOOTER.size - 32
    if length > end - 32:
        raise FileFormatError(f"the description claims {length} bytes, but only {end - 32} are there.")
    return _Parts(data[:32], data[32 : end - length], data[end - length : end], number)


def _read_array(data: memoryview, start: int, dtype: np.dtype, shape: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """The `.npy` array at `start`, which must be of this dtype and shape, and where it ends.

    The header, a Python literal, is compared with that which numpy writes; nothing of it is evaluated.
    """
    length = int.from_bytes(data[start + 8 : start + 10], "little")
    begin = start + 10 + length
    if bytes(data[start : start + 8]) != _NPY + b"\x01\x00" or begin > len(data):
        raise FileFormatError(
            "an array header cannot be read: there is none of .npy version (1, 0), or it was cut off."
        )
    header = bytes(data[start + 10 : begin]).rstrip(b" \n")
    expected = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    if header != _header(expected):
        found = header[:160].decode("ascii", "replace")
        raise FileFormatError(f"an array has the header {found}, the description says {dtype}{list(shape)}.")
    end = begin + dtype.itemsize * math.prod(shape)
    if end > len(data):
        raise FileFormatError("the leaf data ends too early.")
    return np.frombuffer(data[begin:end], dtype).reshape(shape), end


def _header(expected: dict[str, Any]) -> bytes:
    """The text of an `.npy` header, without the spaces after it."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, expected)
    return file.getvalue()[10:].rstrip(b" \n")


class _Content(NamedTuple):
    """A file that is whole and agrees with itself."""

    leaves: bytes
    description: Any
    written_by: Mapping[str, str]


def _check(data: bytes) -> _Content:
    fingerprint, leaves, text, number = _split(data)
    description, written_by = loads_json(text), NOBODY
    if number == _WITH_HISTORY:
        match description:
            case [found, dict(packages)] if all(isinstance(version, str) for version in packages.values()):
                description, written_by = found, packages
            case _:
                raise FileFormatError("the description does not tell the packages that wrote the file.")
    if fingerprint_of(description) != fingerprint:
        raise FileFormatError("the fingerprint is not that of the description in the file.")
    return _Content(leaves, description, written_by)


def _fill(skeleton: Any, content: _Content) -> Any:
    """`skeleton`, whose arrays may be `jax.ShapeDtypeStruct`, with the leaves of the file."""
    root = _root(type(skeleton))
    expected, own = describe(skeleton, root=root), content.description
    description, arrays = own, None
    if not is_current(own):  # else what differs is told before an array is read
        description, arrays = upgraded(own, _read_arrays(content), root=root, written_by=content.written_by)
    if fingerprint_of(expected) != fingerprint_of(description):
        lines = "\n  ".join(differences(expected, description, root=root))
        raise FingerprintError(
            f"the file holds another structure than the one it is loaded into:\n  {lines}\n"
            "Pass the constructor arguments it was saved with."
        )
    arrays = _read_arrays(content) if arrays is None else arrays
    stored = iter([leaf_from_numpy(arrays[path], describe_leaf(leaf)) for path, leaf in leaves_with_paths(skeleton)])
    return jax.tree.map(lambda leaf: next(stored) if is_stored(leaf) else leaf, skeleton)


def _read_arrays(content: _Content) -> dict[str, np.ndarray]:
    """The arrays by path; which there are and in what order is said by the description of the file."""
    view, position = memoryview(content.leaves), 0
    arrays: dict[str, np.ndarray] = {}
    for path, node in leaf_nodes(content.description):
        arrays[path], position = _read_array(view, position, *check_leaf(node))
    if position != len(view):
        raise FileFormatError(f"{len(view) - position} bytes follow the last array.")
    return arrays


def _is_jax(value: Any) -> bool:
    return isinstance(value, jax.Array)


def _skeleton(constructor: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`constructor(*args, **kwargs)` with shapes for JAX's arrays: nothing is computed, where the constructor allows it.

    Not `eqx.filter_eval_shape`, which takes numpy arrays for JAX's and so loses their kind and their 64 bits.
    """
    dynamic, static = eqx.partition((args, kwargs), _is_jax)
    rest: list[Any] = []

    def arrays(dynamic: Any) -> Any:
        args, kwargs = eqx.combine(dynamic, static)
        made, other = eqx.partition(constructor(*args, **kwargs), _is_jax)
        rest.append(other)
        return made

    try:
        return eqx.combine(jax.eval_shape(arrays, dynamic), rest[-1])
    except Exception:  # it looked at a value of an array; if it is at fault otherwise, it will say so again
        return constructor(*args, **kwargs)


class Serializable(eqx.Module):
    """Base class of modules that are saved to and loaded from `.eqx` files. Subclasses are registered by their name.

    What is saved: every leaf that Equinox saves, bit for bit. What must be given again when loading, and is compared:
    everything else, that is the class, static fields, shapes, dtypes and functions, at every depth.
    """

    must_be_finite: ClassVar[bool] = False  # whether a module with a parameter that is not finite is refused when saved

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        register_if_free(cls)

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """Pickled, and copied, as the content of an `.eqx` file, without code; what such a file cannot hold, as Python does."""
        try:
            describe_to_save(self)
            return _unpickled, (type(self), _pack(self))
        except (TypeError, ValueError):  # a class that is not registered, a function without a name, a traced value
            return super().__reduce_ex__(protocol)

    def serialize(self, path: str | Path) -> None:
        """Save to `path`, to which `.eqx` is added if missing. A file that was there is replaced in one step.

        Raises: TypeError if a field cannot be saved: a function without a registered name, an object of no known kind;
        NonFiniteError (a ValueError) for a policy with a parameter that is not finite, or a constant that is NaN:
        `save_policy` takes such a one with `allow_nonfinite`.
        """
        path = with_suffix(path, ".eqx")
        if self.must_be_finite:
            check_finite(self, f"saving {path.name}", otherwise="save_policy(path, policy, allow_nonfinite=True)")
        atomic_write(path, _pack(self))

    @classmethod
    def deserialize(cls: type[S], path: str | Path, *args: Any, **kwargs: Any) -> S:
        """Load from `path`, to which `.eqx` is added if missing.

        `args` and `kwargs` are those of the constructor. What decides the structure (an environment, widths, settings)
        must be as it was when the file was saved; what only fills leaves (a key, numbers that are leaves) may differ.

        Raises: FingerprintError (a ValueError) naming the fields that differ and both values; FileFormatError (a
        ValueError) for a damaged, truncated or foreign file; FileNotFoundError naming the path that was tried.
        """
        return deserialize(cls, path, *args, **kwargs)


def deserialize(constructor: Callable[..., S], path: str | Path, *args: Any, **kwargs: Any) -> S:
    """As `Serializable.deserialize`, for whatever makes the module."""
    path = with_suffix(path, ".eqx")
    data = _read(path)
    try:
        content = _check(data)
        return _fill(_skeleton(constructor, *args, **kwargs), content)
    except (FileFormatError, FingerprintError) as error:
        raise type(error)(f"{path}: {error}") from error
