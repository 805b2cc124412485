"""What the harmless nodes of a pickle stand for: arrays, dtypes, numbers, dicts. All else stays a node.

This is the allow-list: each function knows the few names that may stand for its value and refuses every other by name.
"""

import math
import re
from typing import TypeGuard

import numpy as np

from perdure._core import FileFormatError

from ._pickle import Call, Global, Node, OpaqueKey

_DTYPE = re.compile(r"[<>|=]?([fiu][1248]|b1)")
MAX_COUNT = 2**48  # of numbers in anything that a file may hold
MAX_CALLS = 32  # one in the place of the function of another
_NUMPY_NAMES = {
    *("bool", "bool_", "float16", "float32", "float64", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64"),
}


def brief(node: Node) -> str:
    """A node for messages: short, and without looking into containers, which may hold themselves many times over."""
    if isinstance(node, str | bytes):
        return repr(node[:60])
    if node is None or isinstance(node, bool | float) or (isinstance(node, int) and abs(node) < MAX_COUNT):
        return repr(node)
    return f"a number of {node.bit_length()} bits" if isinstance(node, int) else name_of(node)[:80]


def _skeleton_name(node: Call) -> str:
    """Of a class that cloudpickle stores by value."""
    _, name, _, namespace = (*node.arguments, None, None, None, None)[:4]
    module = namespace.get("__module__") if isinstance(namespace, dict) else None
    return f"{module if isinstance(module, str) else '__main__'}.{name if isinstance(name, str) else brief(name)}"


def name_of(node: Node) -> str:
    """The dotted name of what a node stands for or would call, for messages and look-ups."""
    for _ in range(MAX_CALLS):
        match node:
            case Global():
                return node.path
            case Call(function=Global(name="_make_skeleton_class" | "_make_skeleton_enum")):
                return _skeleton_name(node)
            case Call(function=Global(name="_reconstructor")) if node.arguments:  # protocols 0 and 1
                node = node.arguments[0]
            case Call():
                node = node.function
            case _:
                break
    return type(node).__name__


def _refuse(node: Node, wanted: str) -> FileFormatError:
    return FileFormatError(f"{name_of(node)[:120]!r} stands where {wanted} should be.")


def _is_numpy(node: Node, *names: str) -> TypeGuard[Call]:
    """True for a call of one of these functions of numpy, whose modules were renamed in 2.0."""
    if not (isinstance(node, Call) and isinstance(node.function, Global)):
        return False
    return node.function.module.split(".")[0] == "numpy" and node.function.name in names


def bytes_of(node: Node) -> bytes:
    if isinstance(node, str):  # of a pickle of Python 2
        return node.encode("latin-1")
    if isinstance(node, Call) and node.function == Global("_codecs", "encode"):
        text, codec = (*node.arguments, "latin1")[:2]
        if isinstance(text, str) and codec in ("latin1", "latin-1"):
            return text.encode("latin-1")
    if isinstance(node, bytes | bytearray):
        return bytes(node)
    raise _refuse(node, "bytes")


def dtype_of(node: Node) -> np.dtype:
    """A dtype of numbers or booleans."""
    if isinstance(node, Global) and node.module == "numpy" and node.name in _NUMPY_NAMES:
        return np.dtype(node.name)
    if isinstance(node, str) and (node in _NUMPY_NAMES or _DTYPE.fullmatch(node)):
        return np.dtype(node)
    if _is_numpy(node, "dtype") and node.arguments and isinstance(node.arguments[0], str):
        code = node.arguments[0]
        if _DTYPE.fullmatch(code):
            order = node.state[1] if isinstance(node.state, tuple) and len(node.state) > 1 else None
            return np.dtype(code).newbyteorder(">" if order == ">" else "<")
    raise _refuse(node, "a dtype of numbers")


def shape_of(node: Node) -> tuple[int, ...]:
    if isinstance(node, int):
        node = (node,)
    entries = tuple(node) if isinstance(node, list | tuple) else None
    if entries is None or len(entries) > 32 or not all(type(d) is int and 0 <= d < MAX_COUNT for d in entries):
        raise _refuse(node, "a shape")
    return entries


def _array(data: Node, dtype: Node, shape: Node, fortran: bool) -> np.ndarray:
    content, kind, dimensions = bytes_of(data), dtype_of(dtype), shape_of(shape)
    if math.prod(dimensions) * kind.itemsize != len(content):
        raise FileFormatError(f"an array of shape {list(dimensions)} and {kind} with {len(content)} bytes of data.")
    array = np.frombuffer(content, kind).reshape(dimensions, order="F" if fortran else "C")
    return array.astype(kind.newbyteorder("="))


def _pickled_array(node: Node) -> np.ndarray | None:
    """What `ndarray.__reduce__` stands for, or JAX's with one of numpy inside; None for another node."""
    if isinstance(node, Call) and isinstance(node.function, Global) and node.function.name == "_reconstruct_array":
        if node.function.module.split(".")[0] != "jax" or len(node.arguments) < 3:
            return None
        function, arguments, state = node.arguments[:3]
        node = Call(function, arguments if isinstance(arguments, tuple) else (), state=state)
    if _is_numpy(node, "_reconstruct") and isinstance(node.state, tuple) and len(node.state) == 5:
        _, shape, dtype, fortran, data = node.state
        return _array(data, dtype, shape, bool(fortran))
    if _is_numpy(node, "_frombuffer") and len(node.arguments) == 4:
        data, dtype, shape, order = node.arguments
        return _array(data, dtype, shape, order == "F")
    return None


def array_of(node: Node) -> np.ndarray:
    """An array of numbers, or a number or list of them as one."""
    array = _pickled_array(node)
    if array is not None:
        return array
    if isinstance(node, list | tuple) and len(node) <= 100_000 and all(type(x) in (int, float, bool) for x in node):
        return np.asarray(node)
    return np.asarray(number_of(node))


def number_of(node: Node) -> bool | int | float:
    """A Python number, or numpy's scalar as one."""
    if isinstance(node, bool | int | float):
        return node
    if _is_numpy(node, "scalar") and len(node.arguments) == 2:
        dtype, data = node.arguments
        return _array(data, dtype, (), False).item()
    array = _pickled_array(node)
    if array is not None and array.size == 1:
        return array.item()
    raise _refuse(node, "a number")


def mapping_of(node: Node) -> dict[str, Node]:
    """A dict, an ordered dict, or the state of an object (a dict, or a pair of a dict and one of slots)."""
    if isinstance(node, Call) and node.function == Global("collections", "OrderedDict"):
        pairs = node.arguments[0] if node.arguments and isinstance(node.arguments[0], list) else node.pairs
        if all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
            node = {pair[0]: pair[1] for pair in pairs if isinstance(pair[0], str)}
    if isinstance(node, tuple) and len(node) == 2 and all(isinstance(part, dict | None) for part in node):
        node = {**(node[0] or {}), **(node[1] or {})}
    if not isinstance(node, dict) or any(isinstance(key, OpaqueKey) for key in node):
        raise _refuse(node, "a dict")
    return {key: value for key, value in node.items() if isinstance(key, str)}


def texts_of(node: Node) -> list[str]:
    """A list of strings."""
    if isinstance(node, list | tuple) and all(isinstance(text, str) for text in node):
        return list(node)
    raise _refuse(node, "a list of names")
