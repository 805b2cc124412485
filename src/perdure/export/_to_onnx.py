"""`to_onnx`: a policy as an ONNX model, without a folder and a proof."""

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from perdure._core import atomic_write, import_extra, with_suffix
from perdure.export.program import ProgramKeywords, lower, shows_options
from perdure.export.targets.onnx import model_of, serialize
from perdure.policy import AbstractPolicy

if TYPE_CHECKING:
    from onnx import ModelProto


@shows_options(ProgramKeywords, without=("name",))
def to_onnx(
    policy: AbstractPolicy,
    *,
    output_path: str | Path | None = None,
    model_name: str = "policy",
    opset: int = 17,
    batched: bool = False,
    **options: Unpack[ProgramKeywords],
) -> "ModelProto":
    """The ModelProto of a policy; written to `output_path` if given (`.onnx` is added where missing).

    As it stands it maps one observation, as the environment gives it, to one action. `batched=True` puts a symbolic
    axis `batch` in front of every input and output. The other keywords are fields of `ExportOptions`; its `name` is called
    `model_name` here. The same policy gives the same bytes.

    This does not run the model: `perdure.export.export` also proves it.

    Raises: ExportError for what cannot be exported, with the line of the policy and what to write instead;
    MissingExtraError without the extra `onnx`.
    """
    import_extra("onnx", "onnx")
    if "name" in options:
        raise TypeError("to_onnx has no argument 'name'. Did you mean 'model_name'?")
    options["name"] = model_name
    model = model_of(lower(policy, **options), model_name, opset=opset, batched=batched)
    if output_path is not None:
        path = with_suffix(output_path, ".onnx")
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, serialize(model))
    return model
