"""The target `triton`: the repository's layout, `config.pbtxt` as Triton's own schema reads it, the manifest for KServe.

The model is the ONNX file that onnxruntime proved. The server itself is not run here, and the report says so.
"""

import importlib.metadata
import importlib.util
import json
import sys

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure._core import ExportError
from perdure.export import export, verify
from perdure.export.targets.triton._target import service_name
from tests.support.export.in_process import in_process as in_process
from tests.support.export.policies import CONTINUOUS, OBSERVATION, Memory, Recurrent, discrete, mixed, recurrent

pytest.importorskip("onnxruntime", reason="ONNX is run with the extra onnx")
TYPE_BOOL, TYPE_INT32, TYPE_FP32 = 1, 8, 11


def parsed(path):
    """The file by the schema that NVIDIA's client ships; loaded alone, as the rest of that package needs gRPC."""
    try:
        files = importlib.metadata.files("tritonclient") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("Triton's schema is in tritonclient: pip install --no-deps tritonclient")
    text_format = pytest.importorskip("google.protobuf.text_format", reason="protobuf comes with the extra onnx")
    (file,) = [f for f in files if f.as_posix() == "tritonclient/grpc/model_config_pb2.py"]
    if (module := sys.modules.get("model_config_pb2")) is None:
        spec = importlib.util.spec_from_file_location("model_config_pb2", file.locate())
        module = sys.modules["model_config_pb2"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return text_format.Parse(path.read_text(), module.ModelConfig())


def described(tensors):
    return {t.name: (t.data_type, list(t.dims), t.HasField("reshape")) for t in tensors}


@pytest.mark.usefixtures("in_process")
def test_a_policy_without_a_memory_gets_dynamic_batching(tmp_path):
    (row,) = export(discrete(), tmp_path, ["triton"], name="pole", action_mask=True, num_observations=50).targets
    config = parsed(tmp_path / "triton" / "pole" / "config.pbtxt")
    assert (config.name, config.backend, config.max_batch_size) == ("pole", "onnxruntime", 64)
    assert described(config.input) == {"observation": (TYPE_FP32, [4], False), "action_mask": (TYPE_BOOL, [5], False)}
    assert described(config.output) == {"action": (TYPE_INT32, [1], True)}
    assert list(config.output[0].reshape.shape) == []
    assert config.HasField("dynamic_batching")
    assert not config.HasField("sequence_batching")
    assert row.note == "Triton's server was not run."


@pytest.mark.usefixtures("in_process")
def test_a_policy_with_a_memory_gets_sequence_batching_with_implicit_state(tmp_path):
    export(recurrent(), tmp_path, ["triton"], num_observations=50)
    config = parsed(tmp_path / "triton" / "policy" / "config.pbtxt")
    assert set(described(config.input)) == {"observation"}
    assert set(described(config.output)) == {"action"}
    batching = config.sequence_batching
    assert batching.HasField("oldest")
    (state,) = batching.state
    assert (state.input_name, state.output_name) == ("state.hidden", "next_state.hidden")
    assert (state.data_type, list(state.dims)) == (TYPE_FP32, [8])
    (first,) = state.initial_state
    assert first.zero_data
    assert list(first.dims) == [8]


class Started(Recurrent):
    first: float = eqx.field(static=True, default=0.5)

    def reset(self, *, key):
        return Memory(jnp.linspace(0.0, self.first, 8))


@pytest.mark.usefixtures("in_process")
def test_a_memory_that_starts_elsewhere_than_at_zero_is_read_from_a_file(tmp_path):
    policy = Started(OBSERVATION, CONTINUOUS, recurrent().cell, recurrent().head)
    export(policy, tmp_path, ["triton"], num_observations=50)
    folder = tmp_path / "triton" / "policy"
    (first,) = parsed(folder / "config.pbtxt").sequence_batching.state[0].initial_state
    assert not first.zero_data
    data = np.frombuffer((folder / "initial_state" / first.data_file).read_bytes(), "<f4")
    np.testing.assert_array_equal(data, policy.reset(key=jr.key(0)).hidden)


class Counting(Recurrent):
    def __call__(self, state, observation, *, key=None, action_mask=None):
        return Memory(state.hidden + 1), jnp.zeros(2)

    def reset(self, *, key):
        return Memory(jnp.zeros(()))


@pytest.mark.usefixtures("in_process")
def test_a_memory_that_is_a_number_is_refused(tmp_path):
    with pytest.raises(ExportError, match=r"'state\.hidden' is a number, .* shape \(1,\)"):
        export(Counting(OBSERVATION, CONTINUOUS, None, None), tmp_path, ["triton"], num_observations=50)


@pytest.mark.usefixtures("in_process")
def test_the_model_is_the_proven_onnx_file_and_every_file_has_its_digest(tmp_path):
    export(mixed(), tmp_path / "a", ["onnx", "triton"], num_observations=50)
    model = tmp_path / "a" / "triton" / "policy" / "1" / "model.onnx"
    assert model.read_bytes() == (tmp_path / "a" / "policy.onnx").read_bytes()
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    written = {p.relative_to(tmp_path / "a").as_posix() for p in (tmp_path / "a").rglob("*") if p.is_file()}
    assert set(manifest["files"]) == written - {"manifest.json"}
    assert manifest["targets"]["triton"]["note"] == "Triton's server was not run."


def test_a_merged_export_keeps_what_stood_in_the_repository_and_verifies(tmp_path):
    other = tmp_path / "triton" / "other" / "config.pbtxt"
    other.parent.mkdir(parents=True)
    other.write_text("kept")
    export(discrete(), tmp_path, ["triton"], num_observations=50, force=True)
    assert other.read_text() == "kept"
    assert verify(tmp_path).targets[0].note == "Triton's server was not run."


def test_the_manifest_for_kserve_names_the_repository(tmp_path):
    yaml = pytest.importorskip("yaml", reason="PyYAML reads the manifest; it comes with the extra hub")
    export(discrete(), tmp_path, ["triton"], name="Pole_2", num_observations=50)
    service = yaml.safe_load((tmp_path / "Pole_2_kserve.yaml").read_text())
    assert (service["kind"], service["metadata"]["name"]) == ("InferenceService", "pole-2")
    model = service["spec"]["predictor"]["model"]
    assert (model["modelFormat"]["name"], model["protocolVersion"]) == ("triton", "v2")
    assert model["storageUri"].endswith("/triton")
    assert service_name("0.95") == "policy-0-95"
