"""The leaves of an Equinox module in a file: one `.npy` after the other, without names.

Source: Equinox 0.13, `eqx.tree_serialise_leaves`; numpy/lib/format.py.
"""

import io
import math

import numpy as np

from perdure._core import FileFormatError

_NPY = b"\x93NUMPY"
_FINGERPRINT_BYTES = 32
MAX_LEAVES = 10_000
MAX_HEADER = 1_000  # characters of the text before each leaf; an ordinary one has 118


def _leaf(stream: io.BytesIO, size: int) -> np.ndarray:
    """The next leaf: its header is a literal with three entries, then its numbers follow.

    Raises: FileFormatError for anything but numbers, or more of them than the file holds.
    """
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise FileFormatError(f"a leaf of the .npy version {version}; 1.0 is read.")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=MAX_HEADER)
    except FileFormatError:
        raise
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise FileFormatError(f"no leaves of Equinox, or damaged ones: {str(error)[:120]}") from error
    length = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "biuf" or min(shape, default=0) < 0 or length > size - stream.tell():
        raise FileFormatError(f"a leaf of shape {list(shape)[:8]} and {str(dtype)[:40]}, which the file does not hold.")
    numbers = np.frombuffer(stream.read(length), dtype).reshape(shape, order="F" if fortran else "C")
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
