"""The leaves of an Equinox module in a file: one `.npy` after the other, without names.

Source: Equinox 0.13, `eqx.tree_serialise_leaves`; the format of `numpy.save`.
"""

import io
import math
import re

import numpy as np

from perdure._core import FileFormatError

_NPY = b"\x93NUMPY"
_FINGERPRINT_BYTES = 32
_DTYPE, _SHAPE = r"[<>|=]?(?:f[248]|[iu][1248]|b1)", r"(?:\d{1,9}(?:, \d{1,9}){0,31},?)?"
_HEADER = re.compile(rf"\{{'descr': '({_DTYPE})', 'fortran_order': (True|False), 'shape': \(({_SHAPE})\), \}}\s*")
MAX_LEAVES = 10_000


def _leaf(stream: io.BytesIO, size: int) -> np.ndarray:
    """The next leaf: magic, version 1.0, the length of a text, the text, the numbers.

    Raises: FileFormatError for anything but numbers, or more of them than the file holds.
    """
    magic, length = stream.read(8), int.from_bytes(stream.read(2), "little")
    text = stream.read(length).decode("latin-1")
    header = _HEADER.fullmatch(text)
    if magic != _NPY + b"\x01\x00" or header is None:
        raise FileFormatError(
            f"no leaves of Equinox, or damaged ones: {text[:80]!r} where the kind of numbers should be."
        )
    dtype, shape = np.dtype(header[1]), tuple(int(d) for d in re.findall(r"\d+", header[3]))
    num_bytes = math.prod(shape) * dtype.itemsize
    if num_bytes > size - stream.tell():
        raise FileFormatError(f"a leaf of shape {list(shape)} and {dtype}, which the file does not hold.")
    numbers = np.frombuffer(stream.read(num_bytes), dtype).reshape(shape, order="F" if header[2] == "True" else "C")
    return numbers.astype(dtype.newbyteorder("="))


def read_floats(data: bytes) -> tuple[list[np.ndarray], bool]:
    """All leaves that are floats, which sizes and switches are not; and whether Lerax's fingerprint stands before them.

    Raises: FileFormatError for what is no such file, or is cut off.
    """
    has_fingerprint = data.startswith(_NPY, _FINGERPRINT_BYTES) and not data.startswith(_NPY)
    stream = io.BytesIO(data)
    stream.seek(_FINGERPRINT_BYTES * has_fingerprint)
    leaves: list[np.ndarray] = []
    while stream.tell() < len(data):
        if len(leaves) == MAX_LEAVES:
            raise FileFormatError(f"more than {MAX_LEAVES} leaves; no more are read.")
        leaves.append(_leaf(stream, len(data)))
    return [leaf for leaf in leaves if leaf.dtype.kind == "f"], has_fingerprint
