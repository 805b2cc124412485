"""The target `triton`: a model repository around the ONNX file, and a manifest for KServe."""

import re
from pathlib import Path

import numpy as np

from perdure.export.program import Program

from .._record import Target, Written
from ..onnx import ONNX, model_of, require_onnx, serialize
from ._config import config, initial_file

REPOSITORY = "triton"  # of its own, as Triton takes every folder in it for a model
KSERVE = """\
# Copy the folder `{repository}` to where `storageUri` points, then: kubectl apply -f {file}
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
spec:
  predictor:
    model:
      modelFormat:
        name: triton
      protocolVersion: v2
      storageUri: pvc://models/{repository}
"""


def service_name(name: str) -> str:
    """Kubernetes takes lower-case letters, digits and dashes, at most 63 of them."""
    plain = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"policy-{plain}"[:63].strip("-") if not plain[:1].isalpha() else plain[:63].strip("-")


def write(program: Program, directory: Path, name: str) -> Written:
    model = f"{REPOSITORY}/{name}/1/model.onnx"
    files: dict[str, bytes] = {
        model: serialize(model_of(program, name)),
        f"{REPOSITORY}/{name}/config.pbtxt": config(program, name).encode(),
    }
    for port in program.signature.inputs:
        first = program.signature.initial_state.get(port.name)
        if first is not None and np.any(first):
            little_endian = first.astype(first.dtype.newbyteorder("<"))
            files[f"{REPOSITORY}/{name}/initial_state/{initial_file(port)}"] = little_endian.tobytes()
    kserve = f"{name}_kserve.yaml"
    files[kserve] = KSERVE.format(repository=REPOSITORY, file=kserve, name=service_name(name)).encode()
    for file, data in files.items():
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        (directory / file).write_bytes(data)
    return Written(model, tuple(file for file in files if file != model))


def note(file: str) -> str:
    return "Triton's server was not run."


TRITON = Target("triton", write, ONNX.runner, require_onnx, note=note, runs_code=False)
