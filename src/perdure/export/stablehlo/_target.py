"""What `export` writes for the target `stablehlo`."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import jax
from jax import export as jax_export

from .._program import Program
from ._evaluate import in_jax

PLATFORMS = ("cpu", "cuda", "tpu")


@contextlib.contextmanager
def without_source_lines() -> Iterator[None]:
    """The bytes would name files of this machine."""
    name = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, name)
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, before)


def serialized(program: Program) -> bytes:
    """The function of arrays by name, with a symbolic axis `batch` in front of each."""
    (batch,) = jax_export.symbolic_shape("batch")
    ports = program.signature.inputs
    shapes = {port.name: jax.ShapeDtypeStruct((batch, *port.shape), port.dtype) for port in ports}
    with without_source_lines():
        return bytes(jax_export.export(jax.jit(in_jax(program.graph)), platforms=PLATFORMS)(shapes).serialize())


def write(program: Program, directory: Path, name: str) -> list[str]:
    file = f"{name}.stablehlo"
    (directory / file).write_bytes(serialized(program))
    return [file]
