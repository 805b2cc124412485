"""A policy as an ONNX model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perdure._core import atomic_write, import_extra, with_suffix

from .._program import Program, lower
from ._write import write_onnx


def to_onnx(
    policy: Any,
    *,
    output_path: str | Path | None = None,
    model_name: str = "policy",
    opset: int = 17,
    batched: bool = False,
    deterministic: bool = True,
    action_mask: bool = False,
    nan_guard: bool = True,
    outputs: Sequence[str] = ("action",),
) -> Any:
    """The ModelProto of a policy; written to `output_path` if given (`.onnx` is added where missing).

    As it stands it maps one observation, as the environment gives it, to one action. `batched=True` puts a symbolic
    axis `batch` in front of every input and output. `action_mask` adds that input, `deterministic=False` the input
    `noise` of a policy that samples; `outputs` may add "logits", "q_values" or "value". With `nan_guard` a lost number
    gives -1 for a discrete action and NaN for a continuous one (`perdure.export`). The same policy gives the same bytes.

    This does not run the model: `perdure.export.export` also proves it.

    Raises: ExportError for what cannot be exported, with the line of the policy and what to write instead;
    MissingExtraError without the extra `onnx`.
    """
    import_extra("onnx", "onnx")
    program = lower(
        policy,
        name=model_name,
        deterministic=deterministic,
        action_mask=action_mask,
        nan_guard=nan_guard,
        outputs=outputs,
    )
    model = model_of(program, model_name, opset=opset, batched=batched)
    if output_path is not None:
        path = with_suffix(output_path, ".onnx")
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, serialize(model))
    return model


def model_of(program: Program, name: str, *, opset: int = 17, batched: bool = True) -> Any:
    graph = program.graph if batched else program.unbatched()
    return write_onnx(graph, name, opset, program.metadata)


def serialize(model: Any) -> bytes:
    return model.SerializeToString(deterministic=True)
