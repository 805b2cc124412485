"""The target `onnx`."""

from pathlib import Path
from typing import TYPE_CHECKING

from perdure._core import import_extra
from perdure.export.program import Program

from .._record import Target, Written
from ._write import write_onnx

if TYPE_CHECKING:
    from onnx import ModelProto


def require_onnx() -> None:
    for module in ("onnx", "onnxruntime"):
        import_extra(module, "onnx")


def model_of(program: Program, name: str, *, opset: int = 17, batched: bool = True) -> "ModelProto":
    graph = program.graph if batched else program.unbatched()
    return write_onnx(graph, name, opset, program.metadata)


def serialize(model: "ModelProto") -> bytes:
    return model.SerializeToString(deterministic=True)


def write(program: Program, directory: Path, name: str) -> Written:
    file = f"{name}.onnx"
    (directory / file).write_bytes(serialize(model_of(program, name)))
    return Written(file)


ONNX = Target("onnx", write, Path(__file__).with_name("runner.py"), require_onnx, runs_code=False)
