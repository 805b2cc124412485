"""The target `tfjs`."""

from pathlib import Path

from perdure import __version__
from perdure._core import MissingExtraError, dumps_json, loads_json
from perdure.export.program import Program
from perdure.export.proof import missing_package
from perdure.graph import channels_last, name_tensors

from .._record import Target, Written
from ._writer import write_graph_model


def write(program: Program, directory: Path, name: str) -> Written:
    model, weights = write_graph_model(name_tensors(channels_last(program.graph)))
    kept = ("policy", "fingerprint", "perdure_version", "nan_guard", "signature")
    model["userDefinedMetadata"] = {k: program.metadata[k] for k in kept if k in program.metadata}
    model["userDefinedMetadata"] |= {k: loads_json(program.metadata[k]) for k in ("nan_guard", "signature")}
    model["generatedBy"] = f"perdure {__version__}"
    folder = f"{name}_tfjs"
    (directory / folder).mkdir()
    (directory / folder / "model.json").write_bytes(dumps_json(model))
    (directory / folder / "weights.bin").write_bytes(weights)
    return Written(f"{folder}/model.json", (f"{folder}/weights.bin",))


def require_node() -> None:
    if (missing := missing_package("@tensorflow/tfjs")) is not None:
        raise MissingExtraError(missing)


TFJS = Target("tfjs", write, Path(__file__).with_name("runner.py"), require_runtime=require_node)
