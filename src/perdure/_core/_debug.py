"""Checks inside compiled functions, off unless asked for."""

import os
from typing import TypeVar

import equinox as eqx
from jaxtyping import Array, Bool

T = TypeVar("T")
_debug: bool | None = None


def set_debug(on: bool) -> None:
    """Turn the checks inside compiled functions on or off: illegal masks, actions out of bounds, values that are NaN.

    The environment variable `PERDURE_DEBUG=1` does the same from outside. Functions that are compiled already keep
    the setting they were compiled with.
    """
    global _debug
    _debug = on


def is_debug() -> bool:
    """True if checks are on: by `set_debug`, else by the environment variable `PERDURE_DEBUG`."""
    return os.environ.get("PERDURE_DEBUG", "") not in ("", "0") if _debug is None else _debug


def check(value: T, failed: Bool[Array, "..."], message: str) -> T:
    """`value`, which in debug raises `message` at run time if `failed` is True anywhere. Use what it returns.

    Raises: RuntimeError (of Equinox), only in debug.
    """
    return eqx.error_if(value, failed, message) if is_debug() else value
