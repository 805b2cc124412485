"""The registry of targets: what writes each one, and which runner proves it."""

import dataclasses
import difflib
from collections.abc import Callable, Sequence
from pathlib import Path

from perdure._core import MissingExtraError, import_extra

from ._chromium import missing_chromium
from ._javascript import missing_package
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


def require_compiler() -> None:
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


def write_tfjs_target(program: Program, directory: Path, name: str) -> list[str]:
    from .tfjs._target import write

    return write(program, directory, name)


def require_tfjs() -> None:
    if (missing := missing_package("@tensorflow/tfjs")) is not None:
        raise MissingExtraError(missing)


def write_web_target(program: Program, directory: Path, name: str) -> list[str]:
    from .web._target import write

    return write(program, directory, name)


def finish_web_target(program: Program, directory: Path, name: str, golden: Arrays) -> list[str]:
    from .web._target import finish

    return finish(program, directory, name, golden)


def require_wasm_compiler() -> None:
    from .c._build import require_wasm_compiler

    require_wasm_compiler()


def require_chromium() -> None:
    if (missing := missing_chromium()) is not None:
        raise MissingExtraError(missing)


def edge_tpu_note(file: str) -> str:
    from .tflite._edge_tpu import note

    return note(file)


def no_more_files(program: Program, directory: Path, name: str, golden: Arrays) -> list[str]:
    return []


@dataclasses.dataclass(frozen=True)
class Target:
    """`write(program, directory, name)` writes files there and gives their names, the one to run first.

    `require` raises MissingExtraError where what writes it is not installed, `require_runtime` where what runs it is not:
    then it is written all the same, and not proven here. `finish` also gets the golden arrays, and writes what needs them
    once the answers are proven. `note` says what of the target the runner did not run.
    """

    name: str
    write: Callable[[Program, Path, str], list[str]]
    runner: str  # script in `_runners`
    require: Callable[[], None] = lambda: None
    finish: Callable[[Program, Path, str, Arrays], list[str]] = no_more_files
    precision: str = "float32"  # of the weights; float16 and int8 are near to the policy, not equal (`_precision`)
    note: Callable[[str], str] = lambda file: ""  # for the report, of the file that is run
    require_runtime: Callable[[], None] | None = None  # None: what writes it runs it too

    def can_be_written(self) -> bool:
        try:
            self.require()
        except MissingExtraError:
            return False
        return True

    def missing(self) -> str | None:
        """What to install so that it can be proven here; None where it can."""
        try:
            (self.require_runtime or self.require)()
        except MissingExtraError as error:
            return str(error)
        return None


TARGETS = {
    "onnx": Target("onnx", write_onnx_target, "onnx_runner.py", require_onnx),
    "c": Target("c", write_c_target, "c_runner.py", finish=finish_c_target, require_runtime=require_compiler),
    "weights": Target("weights", write_weights_target, "weights_runner.py"),
    "stablehlo": Target("stablehlo", write_stablehlo_target, "stablehlo_runner.py"),
    "tflite": Target("tflite", write_tflite_target, "tflite_runner.py", require_tflite),
    "tflite-float16": Target(
        "tflite-float16", write_tflite_target, "tflite_runner.py", require_tflite, precision="float16"
    ),
    "tflite-int8": Target(
        "tflite-int8", write_tflite_target, "tflite_runner.py", require_tflite, precision="int8", note=edge_tpu_note
    ),
    "c-int8": Target(
        "c-int8",
        write_c_target,
        "c_runner.py",
        finish=finish_c_target,
        require_runtime=require_compiler,
        precision="int8",
    ),
    "torchscript": Target(
        "torchscript", write_torchscript_target, "torch_runner.py", require_torch, finish_torchscript_target
    ),
    "torch-export": Target("torch-export", write_torch_export_target, "torch_runner.py", require_torch),
    "tfjs": Target("tfjs", write_tfjs_target, "tfjs_runner.py", require_runtime=require_tfjs),
    "web": Target(
        "web",
        write_web_target,
        "web_runner.py",
        require_wasm_compiler,
        finish_web_target,
        require_runtime=require_chromium,
    ),
    "triton": Target(
        "triton", write_triton_target, "onnx_runner.py", require_onnx, note=lambda file: "Triton's server was not run."
    ),
}


def find_targets(names: Sequence[str]) -> list[Target]:
    """The targets by their names; "all" are those whose writers are installed. Raises: ValueError for an unknown name."""
    if names == "all" or "all" in tuple(names):
        return [target for target in TARGETS.values() if target.can_be_written()]
    if isinstance(names, str) or not names:
        raise ValueError(f"targets is {names!r}, but it is a list of names, or 'all'. Known: {', '.join(TARGETS)}.")
    for name in names:
        if name not in TARGETS:
            close = difflib.get_close_matches(name, TARGETS, 1, cutoff=0.4)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"targets has {name!r}, which is no known target.{hint} Known: {', '.join(TARGETS)}.")
    return [TARGETS[name] for name in dict.fromkeys(names)]
