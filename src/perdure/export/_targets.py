"""The registry of targets: what writes each one, and which runner proves it."""

import dataclasses
import difflib
from collections.abc import Callable, Sequence
from pathlib import Path

from perdure._core import import_extra

from ._program import Program
from ._tolerance import Arrays


def write_onnx_target(program: Program, directory: Path, name: str) -> list[str]:
    from .onnx._to_onnx import model_of, serialize

    file = f"{name}.onnx"
    (directory / file).write_bytes(serialize(model_of(program, name)))
    return [file]


def require_onnx() -> None:
    for module in ("onnx", "onnxruntime"):
        import_extra(module, "onnx")


def write_c_target(program: Program, directory: Path, name: str) -> list[str]:
    from .c._target import write

    return write(program, directory, name)


def finish_c_target(program: Program, directory: Path, name: str, golden: Arrays) -> list[str]:
    from .c._target import finish

    return finish(program, directory, name, golden)


def require_c() -> None:
    from .c._build import require_compiler

    require_compiler()


def write_weights_target(program: Program, directory: Path, name: str) -> list[str]:
    from .weights._target import write

    return write(program, directory, name)


def write_stablehlo_target(program: Program, directory: Path, name: str) -> list[str]:
    from .stablehlo._target import write

    return write(program, directory, name)


def write_torchscript_target(program: Program, directory: Path, name: str) -> list[str]:
    from .torch._target import write_torchscript

    return write_torchscript(program, directory, name)


def finish_torchscript_target(program: Program, directory: Path, name: str, golden: Arrays) -> list[str]:
    from .torch._target import write_cpp

    return write_cpp(program, directory, name, golden)


def write_torch_export_target(program: Program, directory: Path, name: str) -> list[str]:
    from .torch._target import write_torch_export

    return write_torch_export(program, directory, name)


def require_torch() -> None:
    import_extra("torch", "torch")


def write_tflite_target(program: Program, directory: Path, name: str) -> list[str]:
    from .tflite._target import write

    return write(program, directory, name)


def require_tflite() -> None:
    for module in ("ai_edge_litert.interpreter", "flatbuffers"):
        import_extra(module, "tflite")


def write_triton_target(program: Program, directory: Path, name: str) -> list[str]:
    from .triton._target import write

    return write(program, directory, name)


def edge_tpu_note(file: str) -> str:
    from .tflite._edge_tpu import note

    return note(file)


def no_more_files(program: Program, directory: Path, name: str, golden: Arrays) -> list[str]:
    return []


@dataclasses.dataclass(frozen=True)
class Target:
    """`write(program, directory, name)` writes files there and gives their names, the one to run first.

    `require` raises MissingExtraError where the target's tools are not installed. `finish` also gets the golden arrays,
    and writes what needs them once the answers are proven. `note` says what of the target the runner did not run.
    """

    name: str
    write: Callable[[Program, Path, str], list[str]]
    runner: str  # script in `_runners`
    require: Callable[[], None] = lambda: None
    finish: Callable[[Program, Path, str, Arrays], list[str]] = no_more_files
    precision: str = "float32"  # of the weights; float16 and int8 are near to the policy, not equal (`_precision`)
    note: Callable[[str], str] = lambda file: ""  # for the report, of the file that is run


TARGETS = {
    "onnx": Target("onnx", write_onnx_target, "onnx_runner.py", require_onnx),
    "c": Target("c", write_c_target, "c_runner.py", require_c, finish_c_target),
    "weights": Target("weights", write_weights_target, "weights_runner.py"),
    "stablehlo": Target("stablehlo", write_stablehlo_target, "stablehlo_runner.py"),
    "tflite": Target("tflite", write_tflite_target, "tflite_runner.py", require_tflite),
    "tflite-float16": Target(
        "tflite-float16", write_tflite_target, "tflite_runner.py", require_tflite, precision="float16"
    ),
    "tflite-int8": Target(
        "tflite-int8", write_tflite_target, "tflite_runner.py", require_tflite, precision="int8", note=edge_tpu_note
    ),
    "c-int8": Target("c-int8", write_c_target, "c_runner.py", require_c, finish_c_target, precision="int8"),
    "torchscript": Target(
        "torchscript", write_torchscript_target, "torch_runner.py", require_torch, finish_torchscript_target
    ),
    "torch-export": Target("torch-export", write_torch_export_target, "torch_runner.py", require_torch),
    "triton": Target(
        "triton", write_triton_target, "onnx_runner.py", require_onnx, note=lambda file: "Triton's server was not run."
    ),
}


def find_targets(names: Sequence[str]) -> list[Target]:
    """Raises: ValueError for an unknown name, MissingExtraError where a target's tools are not installed."""
    if isinstance(names, str) or not names:
        raise ValueError(f"targets is {names!r}, but it is a list of names. Known: {', '.join(TARGETS)}.")
    for name in names:
        if name not in TARGETS:
            close = difflib.get_close_matches(name, TARGETS, 1, cutoff=0.4)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"targets has {name!r}, which is no known target.{hint} Known: {', '.join(TARGETS)}.")
    found = [TARGETS[name] for name in dict.fromkeys(names)]
    for target in found:
        target.require()
    return found
