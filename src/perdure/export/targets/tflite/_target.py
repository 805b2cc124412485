"""The targets `tflite`, `tflite-float16` and `tflite-int8`."""

from pathlib import Path

from perdure._core import import_extra
from perdure.export.precision import FLOAT16, INT8
from perdure.export.program import Program
from perdure.graph import at_batch_one, channels_last, name_tensors

from .._record import Target, Written
from .._writing import file_stem
from ._edge_tpu import check_core, note
from ._writer import write_tflite


def write(program: Program, directory: Path, name: str) -> Written:
    graph = name_tensors(at_batch_one(channels_last(program.graph)))
    if program.precision == INT8:
        check_core(graph)
    file = f"{file_stem(program, name)}.tflite"
    (directory / file).write_bytes(write_tflite(graph, program.precision == FLOAT16))
    return Written(file)


def require_tflite() -> None:
    for module in ("ai_edge_litert.interpreter", "flatbuffers"):
        import_extra(module, "tflite")


RUNNER = Path(__file__).with_name("runner.py")
TFLITE = Target("tflite", write, RUNNER, require_tflite, runs_code=False)
TFLITE_FLOAT16 = Target("tflite-float16", write, RUNNER, require_tflite, precision=FLOAT16, runs_code=False)
TFLITE_INT8 = Target("tflite-int8", write, RUNNER, require_tflite, precision=INT8, note=note, runs_code=False)
