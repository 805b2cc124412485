"""What `export` writes for the target `tflite`."""

from pathlib import Path

from .._passes import at_batch_one, channels_last, name_tensors
from .._program import Program
from ._writer import write_tflite


def write(program: Program, directory: Path, name: str) -> list[str]:
    file = f"{name}.tflite"
    (directory / file).write_bytes(write_tflite(name_tensors(at_batch_one(channels_last(program.graph)))))
    return [file]
