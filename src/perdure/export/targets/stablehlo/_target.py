"""The target `stablehlo`: the graph in JAX, so that what is exported has the guard and nothing of the policy's class."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import jax

from perdure.export.program import Program
from perdure.graph import in_jax

from .._record import Target, Written

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
    from jax import export as jax_export  # takes its time, and imports flatbuffers

    (batch,) = jax_export.symbolic_shape("batch")
    ports = program.signature.inputs
    shapes = {port.name: jax.ShapeDtypeStruct((batch, *port.shape), port.dtype) for port in ports}
    with without_source_lines():
        return bytes(jax_export.export(jax.jit(in_jax(program.graph)), platforms=PLATFORMS)(shapes).serialize())


def write(program: Program, directory: Path, name: str) -> Written:
    file = f"{name}.stablehlo"
    (directory / file).write_bytes(serialized(program))
    return Written(file)


STABLEHLO = Target("stablehlo", write, Path(__file__).with_name("runner.py"), runs_code=False)
