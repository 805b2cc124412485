"""What `export` writes for the targets `tflite`, `tflite-float16` and `tflite-int8`."""

from pathlib import Path

from .._passes import at_batch_one, channels_last, name_tensors
from .._precision import FLOAT16, INT8
from .._program import Program
from .._writing import file_stem
from ._edge_tpu import check_core
from ._writer import write_tflite


def write(program: Program, directory: Path, name: str) -> list[str]:
    graph = name_tensors(at_batch_one(channels_last(program.graph)))
    if program.precision == INT8:
        check_core(graph)
    file = f"{file_stem(program, name)}.tflite"
    (directory / file).write_bytes(write_tflite(graph, program.precision == FLOAT16))
    return [file]
