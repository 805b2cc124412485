"""Runs `jax.export` bytes in JAX on the CPU, without the policy, for `replay`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy
from jax import export

jax.config.update("jax_platforms", "cpu")


def open_model(path: str, folder: Path) -> dict[str, Any]:
    function = jax.jit(export.deserialize(bytearray(Path(path).read_bytes())).call)

    def prepare(inputs: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        return lambda: {name: numpy.asarray(x) for name, x in function(inputs).items()}

    return {"prepare": prepare, "runtime": "JAX", "version": jax.__version__}
