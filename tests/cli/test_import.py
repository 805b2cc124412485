"""`perdure import`, run as a user runs it."""

from pathlib import Path

import pytest

from perdure.checkpoint import load_policy, read_policy_header
from tests.support.command_line import perdure
from tests.support.shared_files import shared_data

DATA = shared_data()
VELORA = Path(__file__).parents[1] / "importer" / "files" / "velora_flow_ct"
needs_files = pytest.mark.skipif(DATA is None, reason="the model files of ../shared/data are not here")


@needs_files
def test_a_model_is_imported_and_the_command_says_what_it_is(tmp_path):
    model = DATA / "sb3" / "a2c_Hopper-v3.zip"
    statistics = DATA / "sb3" / "a2c_Hopper-v3.vecnormalize.pkl"
    done = perdure("import", "sb3", model, "--vecnormalize", statistics, "--out", "hopper", cwd=tmp_path)
    printed = " ".join(done.stdout.split())
    for text in (
        "A2C",
        "StatelessActorCriticPolicy",
        "1.3.1a2",
        "Box(-inf, inf, (11,), float32)",
        "policy.optimizer.pth",
    ):
        assert text in printed
    policy = load_policy(tmp_path / "hopper/policy.safetensors")
    assert policy.name == "StatelessActorCriticPolicy"
    assert policy.normalizer is not None
    assert read_policy_header(tmp_path / "hopper/policy.safetensors").metadata["algorithm"] == "A2C"
    again = perdure("import", "sb3", model, "--out", "hopper", cwd=tmp_path, check=False)
    assert again.returncode == 1
    assert "--force" in again.stderr


def test_what_cannot_be_imported_is_told_in_one_line(tmp_path):
    (tmp_path / "model.zip").write_bytes(b"no zip [/red]")
    done = perdure("import", "sb3", "model.zip", cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "model.zip: not a zip file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_directory_of_velora_is_imported_and_exported(tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    done = perdure("import", "velora", VELORA, "--out", "pendulum", cwd=tmp_path)
    assert "NeuroFlowCT" in done.stdout
    assert "StatefulSACPolicy" in done.stdout
    exported = perdure("export", "pendulum", "--to", "onnx", "--out", "deploy", cwd=tmp_path)
    assert "policy.onnx" in exported.stdout
    refused = perdure("import", "velora", VELORA, "--channels-first", "--out", "other", cwd=tmp_path, check=False)
    assert refused.returncode == 1
    assert "for models of sb3" in refused.stderr
