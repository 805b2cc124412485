"""Tensors from files of `torch.save`, in the zip layout (torch 1.6 and later) and the one before, without torch.

Both hold a pickle in which each tensor is a view into a storage; the storages are raw bytes beside it.

Source: torch/serialization.py and torch/_utils.py of torch 2.13.
"""

import io
import math
from collections.abc import Callable
from typing import NamedTuple, TypeGuard

import numpy as np

from perdure._core import FileFormatError

from ._pickle import Call, Global, Node, Persistent, read_pickle
from ._values import MAX_COUNT, brief, mapping_of, name_of, shape_of
from ._zip import SMALL, SafeZip

_STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
MAX_GROWTH = 16  # of all tensors together over the file: a shared extractor is stored once and listed three times
_ZIP = b"PK\x03\x04"

Storage = Callable[[str, np.dtype, int], np.ndarray]  # key, dtype, count -> its numbers


def _is_call(node: Node, *names: str) -> TypeGuard[Call]:
    return isinstance(node, Call) and isinstance(node.function, Global) and node.function.path in names


def _storage(node: Node, storages: Storage) -> np.ndarray:
    """The numbers of a storage: `("storage", class, key, device, count, ...)` under a persistent id."""
    if not isinstance(node, Persistent) or not isinstance(node.id, tuple) or len(node.id) < 5:
        raise FileFormatError("a tensor without a storage.")
    tag, kind, key, _, count = node.id[:5]
    if tag != "storage" or not isinstance(kind, Global) or kind.module != "torch" or kind.name not in _STORAGES:
        raise FileFormatError(f"a storage of the kind {name_of(kind)[:80]!r}; tensors of numbers are read.")
    if type(count) is not int or not 0 <= count < MAX_COUNT or not isinstance(key, str):
        raise FileFormatError(f"a storage with the count {brief(count)}.")
    code = _STORAGES[kind.name]
    if code == "bfloat16":  # the upper half of a float32
        halves = storages(key, np.dtype("<u2"), count)
        return (halves.astype(np.uint32) << 16).view(np.float32)
    return storages(key, np.dtype(code).newbyteorder("<"), count)


def _tensor(node: Node, storages: Storage) -> np.ndarray:
    """The array of a tensor or parameter.

    Raises: FileFormatError for another node, a view that leaves its storage, or one that repeats what it holds.
    """
    if _is_call(node, "torch._utils._rebuild_parameter") and node.arguments:
        node = node.arguments[0]
    if not _is_call(node, "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"):
        raise FileFormatError(f"{name_of(node)[:120]!r} stands where a tensor should be.")
    if len(node.arguments) < 4:
        raise FileFormatError("a tensor without storage, offset, size and strides.")
    source, offset, size, strides = node.arguments[:4]
    flat, shape, steps = _storage(source, storages), shape_of(size), shape_of(strides)
    if type(offset) is not int or offset < 0 or len(steps) != len(shape):
        raise FileFormatError(f"a tensor of shape {list(shape)} with {len(steps)} strides.")
    if math.prod(shape) == 0:
        return np.zeros(shape, flat.dtype)
    last = offset + sum((d - 1) * s for d, s in zip(shape, steps, strict=True))
    if last >= flat.size or math.prod(shape) > flat.size:
        raise FileFormatError(f"a tensor of shape {list(shape)} in a storage of {flat.size} numbers.")
    in_bytes = [s * flat.itemsize for s in steps]
    view = np.lib.stride_tricks.as_strided(flat[offset:], shape, in_bytes, writeable=False)
    return np.array(view, flat.dtype.newbyteorder("="), order="C")


class Checkpoint(NamedTuple):
    """What `torch.save` wrote: containers and plain values, with nodes in the place of tensors, which are read when asked for."""

    tree: Node
    storages: Storage
    size_bytes: int  # of the file, or what it took where it was packed

    def tensors(self, *names: str) -> dict[str, np.ndarray]:
        """The tensors by name of the state dict that these names lead to, one inside of the other.

        Tensors may share a storage, but not hundreds of them one.

        Raises: FileFormatError if there is none, or it holds anything but tensors.
        """
        node, arrays, total = self.tree, {}, 0
        for i, name in enumerate(names):
            members = mapping_of(node)
            if name not in members:
                raise FileFormatError(f"{'.'.join(names[: i + 1])!r} is not there, but {', '.join(members)[:200]}.")
            node = members[name]
        for name, member in mapping_of(node).items():
            try:
                arrays[name] = _tensor(member, self.storages)
            except FileFormatError as error:
                raise FileFormatError(f"{name[:120]!r}: {error}") from error
            total += arrays[name].nbytes
            if total > MAX_GROWTH * self.size_bytes:
                raise FileFormatError(f"its tensors are {MAX_GROWTH} times as large as the file.")
        return arrays


def _read_zip(data: bytes, size_bytes: int) -> Checkpoint:
    archive = SafeZip(data)
    pickles = [name for name in archive.names if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise FileFormatError(f"{len(pickles)} members are named data.pkl, where torch writes one.")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in archive.names and archive.read(f"{folder}byteorder") != b"little":
        raise FileFormatError("its numbers are not little-endian. Save the model on an ordinary machine.")

    contents: dict[str, bytes] = {}
    left = MAX_GROWTH * size_bytes

    def storages(key: str, dtype: np.dtype, count: int) -> np.ndarray:
        nonlocal left
        if key not in contents:
            contents[key] = archive.read(f"{folder}data/{key}")
            left -= len(contents[key])
        if left < 0:
            raise FileFormatError(f"its storages are {MAX_GROWTH} times as large as the file.")
        content = contents[key]
        if len(content) != count * dtype.itemsize:
            raise FileFormatError(f"storage {key[:40]!r} has {len(content)} bytes for {count} numbers of {dtype}.")
        return np.frombuffer(content, dtype)

    return Checkpoint(read_pickle(archive.read(pickles[0])), storages, size_bytes)


def _legacy_widths(tree: Node) -> dict[str, int]:
    """Bytes a number in each storage, which only the nodes of storages anywhere in the tree say."""
    widths: dict[str, int] = {}

    def note(key: str, dtype: np.dtype, count: int) -> np.ndarray:
        if widths.setdefault(key, dtype.itemsize) != dtype.itemsize:
            raise FileFormatError(f"storage {key[:40]!r} is of two kinds.")
        return np.zeros(0, dtype)

    left, seen = [tree], set()
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        match node:
            case Persistent():
                _storage(node, note)
            case Call():
                left += [*node.arguments, node.state, *node.items, *(value for _, value in node.pairs)]
            case dict():
                left += node.values()
            case list() | tuple():
                left += node
    return widths


def _read_legacy(data: bytes, size_bytes: int) -> Checkpoint:
    """Five pickles (magic number, protocol, system, the object, storage keys), then each storage: count, raw numbers."""
    stream = io.BytesIO(data)
    if read_pickle(stream) != _MAGIC or read_pickle(stream) != _PROTOCOL:
        raise FileFormatError("not a file of torch.save: its magic number is missing.")
    read_pickle(stream)
    tree, keys = read_pickle(stream), read_pickle(stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise FileFormatError("the list of storages is damaged.")
    start = stream.tell()
    begins: dict[str, int] = {}
    widths = _legacy_widths(tree)
    for key in keys:
        count = int.from_bytes(data[start : start + 8], "little")
        if key in begins or key not in widths or start + 8 + count * widths[key] > len(data):
            raise FileFormatError(f"storage {key[:40]!r} is cut off, given twice or of no tensor.")
        begins[key] = start
        start += 8 + count * widths[key]

    def storages(key: str, dtype: np.dtype, count: int) -> np.ndarray:
        if key not in begins or int.from_bytes(data[begins[key] : begins[key] + 8], "little") != count:
            raise FileFormatError(f"storage {key[:40]!r} is missing or has another size than its tensors say.")
        return np.frombuffer(data, dtype, count, begins[key] + 8)

    return Checkpoint(tree, storages, size_bytes)


def open_checkpoint(data: bytes, *, packed_size: int | None = None) -> Checkpoint:
    """A file of `torch.save`. What it holds beside tensors, optimisers for one, is not looked into.

    `packed_size` is what it took in the zip that it came from: limits of growth count from there, not anew for each zip in a
    zip.

    Raises: FileFormatError for what is no such file.
    """
    size_bytes = len(data) if packed_size is None else min(len(data), max(packed_size, SMALL))
    return (_read_zip if data.startswith(_ZIP) else _read_legacy)(data, size_bytes)


def read_tensors(data: bytes, *, packed_size: int | None = None) -> dict[str, np.ndarray]:
    """The tensors by name of a file that holds a state dict and nothing else. `packed_size` as in `open_checkpoint`.

    Raises: FileFormatError for what is no such file or holds anything but tensors.
    """
    return open_checkpoint(data, packed_size=packed_size).tensors()
