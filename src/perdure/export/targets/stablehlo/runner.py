"""Runs `jax.export` bytes in JAX on the CPU, without the policy, for `replay`."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy
from jax import export

jax.config.update("jax_platforms", "cpu")
HARMLESS = re.compile(
    r"""custom_call @(?:shape_assertion|"?(?:chlo|mhlo)\.[a-z0-9_.]+"?)\b"""
)  # operators, in other words


def check_calls(text: str) -> None:
    """A program may call functions of the process by name, among them some that take addresses: a stranger's must not.

    Raises: ValueError for such a call.
    """
    if "custom_call" in HARMLESS.sub("", text):
        raise ValueError("The StableHLO calls functions outside of itself (custom_call), which no export does.")


def open_model(path: str, folder: Path) -> dict[str, Any]:
    exported = export.deserialize(bytearray(Path(path).read_bytes()))
    check_calls(exported.mlir_module())
    function = jax.jit(exported.call)

    def prepare(inputs: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        return lambda: {name: numpy.asarray(x) for name, x in function(inputs).items()}

    return {"prepare": prepare, "runtime": "JAX", "version": jax.__version__}
