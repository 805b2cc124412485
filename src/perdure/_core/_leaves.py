"""The leaves of a module that files store: which they are, their paths, and their way to numpy and back.

They are what Equinox stores: arrays of JAX and numpy, numpy scalars, and Python numbers in fields that are not static.
Typed keys are stored as their key data.
"""

import functools
import math
from typing import Any
from urllib.parse import quote

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import random as jr

from ._errors import FileFormatError

MAX_RANK = 32
_DTYPES = {
    np.dtype(dtype).name: np.dtype(dtype)
    for dtype in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", jnp.bfloat16, "float32", "float64", "complex64", "complex128"),
    )
}
_PYTHON: dict[str, tuple[type, np.dtype]] = {  # at full width, whatever JAX's own is
    "bool": (bool, np.dtype("bool")),
    "int": (int, np.dtype("int64")),
    "float": (float, np.dtype("float64")),
    "complex": (complex, np.dtype("complex128")),
}
_KEYS = ("threefry2x32", "rbg", "unsafe_rbg")


@functools.lru_cache(256)
def name_of_dtype(dtype: np.dtype) -> str:
    """`dtype.name`, which numpy puts together anew each time."""
    return dtype.name


def dtype_named(name: Any) -> np.dtype:
    """The dtype of a name found in a file, bfloat16 included.

    Raises: FileFormatError for any other name.
    """
    if not isinstance(name, str) or name not in _DTYPES:
        raise FileFormatError(f"{str(name)[:40]!r} is no dtype that files hold. Known: {', '.join(_DTYPES)}.")
    return _DTYPES[name]


def is_stored(leaf: Any) -> bool:
    """True for the leaves whose values are data. All else (functions, strings, spaces) is part of the description."""
    return isinstance(leaf, jax.Array | jax.ShapeDtypeStruct | np.ndarray | np.generic | bool | int | float | complex)


@functools.lru_cache(4096)
def escape(name: str) -> str:
    """`name` as one part of a path: ASCII, without a dot."""
    return quote(name, safe="").replace(".", "%2E") or "%"


def _part(key: Any) -> str:
    match key:
        case jtu.GetAttrKey(name=name):
            return escape(name)
        case jtu.DictKey(key=name):
            return escape(str(name))
        case jtu.SequenceKey(idx=index):
            return str(index)
    raise TypeError(f"{key} is no field, index or key; files hold modules, tuples, lists and dicts.")


def leaves_with_paths(tree: Any) -> list[tuple[str, Any]]:
    """`(path, leaf)` of everything that is stored, in JAX's order: `("actor.layers.0.weight", Array)`."""
    pairs = jtu.tree_leaves_with_path(tree)
    return [(".".join(map(_part, path)), leaf) for path, leaf in pairs if is_stored(leaf)]


def describe_leaf(leaf: Any) -> dict[str, Any]:
    """What of a leaf is structure: `{"leaf": kind, "dtype": name, "shape": [...]}`.

    The kind is "jax", "numpy", "scalar" (of numpy), "python" or "key"; the dtype of a key is its implementation.

    Raises: TypeError for a dtype that files do not hold.
    """
    shape = list(np.shape(leaf)) if not hasattr(leaf, "shape") else list(leaf.shape)
    if isinstance(leaf, jax.Array | jax.ShapeDtypeStruct):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            kind, name = "key", _key_implementation(leaf.dtype)
        else:
            kind, name = "jax", name_of_dtype(leaf.dtype)
    elif isinstance(leaf, np.ndarray | np.generic):
        kind, name = ("numpy" if isinstance(leaf, np.ndarray) else "scalar"), name_of_dtype(leaf.dtype)
    else:
        kind, name = "python", type(leaf).__name__
    if name not in {"key": _KEYS, "python": _PYTHON}.get(kind, _DTYPES):
        raise TypeError(f"dtype {name} is not one that files hold. Known: {', '.join(_DTYPES)}.")
    return {"leaf": kind, "dtype": name, "shape": shape}


@functools.lru_cache(8)
def _key_implementation(dtype: Any) -> str:
    # A ShapeDtypeStruct has only the dtype, printed key<fry>; the array has the full name.
    for name in _KEYS:
        if jax.eval_shape(lambda name=name: jr.key(0, impl=name)).dtype == dtype:
            return name
    return str(dtype)


def check_leaf(node: Any) -> tuple[np.dtype, tuple[int, ...]]:
    """The dtype and shape of the stored array for a leaf's description from a file; nothing is allocated.

    Raises: FileFormatError if the description is not one that `describe_leaf` gives.
    """
    if not isinstance(node, dict) or node.keys() != {"leaf", "dtype", "shape"}:
        raise FileFormatError("A leaf is described by 'leaf', 'dtype' and 'shape', and by nothing else.")
    kind, name, shape = node["leaf"], node["dtype"], check_shape(node["shape"])
    if kind == "python" and isinstance(name, str) and name in _PYTHON and shape == ():
        return _PYTHON[name][1], ()
    if kind == "key" and name in _KEYS:
        data = jax.eval_shape(lambda: jr.key_data(jr.key(0, impl=name)))
        return np.dtype("uint32"), (*shape, *data.shape)
    if kind in ("jax", "numpy") or (kind == "scalar" and shape == ()):
        return dtype_named(name), shape
    raise FileFormatError(f"Leaf of kind {str(kind)[:40]!r}, dtype {str(name)[:40]!r}, shape {list(shape)} is unknown.")


def check_shape(shape: Any) -> tuple[int, ...]:
    """A shape from a file as a tuple of at most 32 non-negative integers of a size that memory can have."""
    if not isinstance(shape, list) or len(shape) > MAX_RANK or not all(type(d) is int and d >= 0 for d in shape):
        raise FileFormatError(f"Shape {str(shape)[:80]} is not a list of at most {MAX_RANK} non-negative integers.")
    if math.prod(max(d, 1) for d in shape) > 2**48:
        raise FileFormatError(f"Shape {shape} is larger than any memory.")
    return tuple(shape)


def leaf_to_numpy(leaf: Any) -> np.ndarray:
    """The leaf's data: C-contiguous, little-endian. Keys as uint32 data, Python numbers at 64 bits.

    Raises: OverflowError for a Python int beyond 64 bits.
    """
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jr.key_data(leaf)
    if isinstance(leaf, jax.Array | np.ndarray | np.generic):
        array = np.asarray(leaf)
    else:
        array = np.asarray(leaf, _PYTHON[type(leaf).__name__][1])
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def leaf_from_numpy(array: np.ndarray, node: dict[str, Any]) -> Any:
    """The leaf that `node` describes with the data of `array`, which is copied. Inverse of `leaf_to_numpy`.

    Raises: FileFormatError if the dtype or shape is another, or needs 64-bit JAX and that is off.
    """
    dtype, shape = check_leaf(node)
    if array.dtype != dtype or array.shape != shape:
        raise FileFormatError(f"data is {array.dtype}{list(array.shape)}, the description says {dtype}{list(shape)}")
    match node["leaf"]:
        case "numpy":
            return array.astype(dtype.newbyteorder("="), order="C")
        case "scalar":
            return array.astype(dtype.newbyteorder("="))[()]
        case "python":
            return _PYTHON[node["dtype"]][0](array.item())
        case "key":
            return jr.wrap_key_data(jnp.array(array), impl=node["dtype"])
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise FileFormatError(
            f"data is {dtype}, but JAX is limited to 32 bits here. Turn 64 bits on before loading: "
            'jax.config.update("jax_enable_x64", True)'
        )
    return jnp.array(array)
