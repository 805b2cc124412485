"""`perdure import`, run as a user runs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.checkpoint import load_policy, read_policy_header
from shared_files import shared_data

DATA = shared_data()
pytestmark = pytest.mark.skipif(DATA is None, reason="the model files of ../shared/data are not here")
PERDURE = shutil.which("perdure", path=str(Path(sys.executable).parent))


def perdure(*arguments, cwd):
    assert PERDURE, "perdure is not installed beside this Python"
    env = {**os.environ, "COLUMNS": "120", "XDG_CACHE_HOME": str(cwd / "cache")}
    return subprocess.run(
        [PERDURE, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, env=env, check=False
    )


def test_a_model_is_imported_and_the_command_says_what_it_is(tmp_path):
    model = DATA / "sb3" / "a2c_Hopper-v3.zip"
    statistics = DATA / "sb3" / "a2c_Hopper-v3.vecnormalize.pkl"
    done = perdure("import", "sb3", model, "--vecnormalize", statistics, "--out", "hopper", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = " ".join(done.stdout.split())
    for text in ("A2C", "MLPActorCriticPolicy", "1.3.1a2", "Box(-inf, inf, (11,), float32)", "policy.optimizer.pth"):
        assert text in printed
    policy = load_policy(tmp_path / "hopper/policy.safetensors")
    assert policy.name == "MLPActorCriticPolicy"
    assert policy.normalizer is not None
    assert read_policy_header(tmp_path / "hopper/policy.safetensors").metadata["algorithm"] == "A2C"
    again = perdure("import", "sb3", model, "--out", "hopper", cwd=tmp_path)
    assert again.returncode == 1
    assert "--force" in again.stderr


def test_what_cannot_be_imported_is_told_in_one_line(tmp_path):
    (tmp_path / "model.zip").write_bytes(b"no zip")
    done = perdure("import", "sb3", "model.zip", cwd=tmp_path)
    assert done.returncode == 1
    assert "model.zip: not a zip file" in done.stderr
    assert "Traceback" not in done.stderr
