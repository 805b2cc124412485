"""What `export` writes for the target `tfjs`."""

from pathlib import Path

from perdure import __version__
from perdure._core import dumps_json, loads_json

from .._passes import channels_last, name_tensors
from .._program import Program
from ._writer import write_graph_model


def write(program: Program, directory: Path, name: str) -> list[str]:
    model, weights = write_graph_model(name_tensors(channels_last(program.graph)))
    kept = ("policy", "fingerprint", "perdure_version", "nan_guard", "signature")
    model["userDefinedMetadata"] = {k: program.metadata[k] for k in kept if k in program.metadata}
    model["userDefinedMetadata"] |= {k: loads_json(program.metadata[k]) for k in ("nan_guard", "signature")}
    model["generatedBy"] = f"perdure {__version__}"
    folder = f"{name}_tfjs"
    (directory / folder).mkdir()
    (directory / folder / "model.json").write_bytes(dumps_json(model))
    (directory / folder / "weights.bin").write_bytes(weights)
    return [f"{folder}/model.json", f"{folder}/weights.bin"]
