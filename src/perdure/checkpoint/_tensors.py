"""safetensors files as bytes: written canonically, read as from a stranger.

Layout (https://github.com/huggingface/safetensors): 8 bytes header length, little-endian; the header, JSON padded with
spaces to a multiple of 8; the tensors one after the other. The same content always gives the same bytes.
"""

import io
import math
import mmap
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from perdure._core import MAX_VALUES, FileFormatError, dumps_json, loads_json

MAX_HEADER = 32 * 2**20
_CODES = {
    "BOOL": "bool",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}
_DTYPES = {**{code: np.dtype(name) for code, name in _CODES.items()}, "BF16": np.dtype(jnp.bfloat16)}
_CODE_OF = {dtype: code for code, dtype in _DTYPES.items()}


Chunk = bytes | memoryview


def lay_out(tensors: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], list[memoryview]]:
    """The header's entries, and the data in their order, not copied. Widest dtypes come first, which keeps all aligned.

    Raises: TypeError for complex128, which the format does not have, ValueError for a tensor named `__metadata__`.
    """
    if "__metadata__" in tensors:
        raise ValueError("A tensor is called '__metadata__', which safetensors files use themselves. Rename the field.")
    entries: dict[str, Any] = {}
    pieces, offset = [], 0
    for name, array in sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])):
        if array.dtype not in _CODE_OF:
            raise TypeError(f"{name} is {array.dtype}, which safetensors files do not hold. Use complex64.")
        data = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
        offsets = [offset, offset + data.nbytes]
        entries[name] = {"dtype": _CODE_OF[data.dtype], "shape": list(data.shape), "data_offsets": offsets}
        pieces.append(data.reshape(-1).view(np.uint8).data)
        offset += data.nbytes
    return entries, pieces


def put_together(entries: Mapping[str, Any], pieces: list[memoryview], metadata: Mapping[str, str]) -> list[Chunk]:
    """The content of a safetensors file in pieces. Raises: ValueError if there is more metadata than is read again."""
    text = dumps_json({"__metadata__": dict(metadata), **entries})
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise ValueError(
            f"The header has {len(text)} bytes, at most {MAX_HEADER} are read again. Shorten the metadata."
        )
    if len(text) > MAX_VALUES:  # a shorter one has nothing that would not be read
        try:
            loads_json(text, max_bytes=MAX_HEADER, max_depth=4)
        except FileFormatError as error:
            raise ValueError(f"The header would not be read again: {error} Shorten the metadata.") from error
    return [len(text).to_bytes(8, "little") + text, *pieces]


def tensor_chunks(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> list[Chunk]:
    """The content of a safetensors file in pieces; raises what `lay_out` and `put_together` raise."""
    return put_together(*lay_out(tensors), metadata)


def pack_tensors(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The content of a safetensors file; as `tensor_chunks`."""
    return b"".join(tensor_chunks(tensors, metadata))


def read_header(file: io.BufferedIOBase, size: int) -> tuple[dict[str, Any], dict[str, str], int]:
    """`(tensors, metadata, where the data begins)` of a file of `size` bytes; no tensor is read.

    Each tensor is `{"dtype": code, "shape": [...], "data_offsets": [begin, end]}`, checked: known dtype, a length that
    dtype and shape ask for, no gap, no overlap, nothing after the last one.

    Raises: FileFormatError
    """
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, MAX_HEADER):
        raise FileFormatError(f"not a safetensors file, or cut off: a header of {length} bytes in a file of {size}.")
    header = loads_json(file.read(length), max_bytes=MAX_HEADER, max_depth=4)
    if not isinstance(header, dict):
        raise FileFormatError("the header is not a JSON object.")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise FileFormatError("the header's __metadata__ is not an object of strings.")
    spans = sorted((*_span(name, entry), name) for name, entry in header.items())
    position = 0
    for begin, end, name in spans:
        if begin != position:
            raise FileFormatError(f"tensor {name[:80]!r} begins at {begin}, the one before it ends at {position}.")
        position = end
    if position != size - 8 - length:
        raise FileFormatError(f"the tensors take {position} bytes, but {size - 8 - length} are there.")
    return header, metadata, 8 + length


def _span(name: str, entry: Any) -> tuple[int, int]:
    match entry:
        case {"dtype": str(code), "shape": list(shape), "data_offsets": [int(begin), int(end)]} if len(entry) == 3:
            good = code in _DTYPES and len(shape) <= 33 and all(type(d) is int and d >= 0 for d in shape)
            if good and begin >= 0 and end - begin == _DTYPES[code].itemsize * math.prod(shape):
                return begin, end
    raise FileFormatError(f"the header's entry for tensor {name[:80]!r} is {str(entry)[:120]}, which does not add up.")


def view_tensors(data: bytes | mmap.mmap, tensors: Mapping[str, Any], start: int) -> dict[str, np.ndarray]:
    """The tensors of a checked header as read-only views into the whole file's bytes."""
    arrays = {}
    for name, entry in tensors.items():
        begin, end = entry["data_offsets"]
        raw = np.frombuffer(data, np.uint8, count=end - begin, offset=start + begin)
        arrays[name] = raw.view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays
