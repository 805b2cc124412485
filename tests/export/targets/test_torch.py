"""The targets `torchscript` and `torch-export`, in processes of their own; the C++ program against libtorch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from perdure._core import MissingExtraError
from perdure.export import export, verify
from tests.support.export.c_compilers import compiler, run
from tests.support.export.in_process import in_process as in_process
from tests.support.export.policies import POLICIES, discrete, recurrent

torch = pytest.importorskip("torch", reason="PyTorch is written and run with the extra torch")
TARGETS = ["torchscript", "torch-export"]


def test_a_policy_with_memory_is_proven_in_pytorch_and_verifies(tmp_path):
    rows = export(recurrent(), tmp_path / "deploy", TARGETS).targets
    assert [row.runtime for row in rows] == [f"torch {torch.__version__}"] * 2
    assert all(row.max_error <= 1e-5 for row in rows)
    assert all(row.max_error <= 1e-5 for row in verify(tmp_path / "deploy", trust=True).targets)


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("kind", [kind for kind in POLICIES if kind != "recurrent"])
def test_every_kind_of_policy_is_proven_in_pytorch(kind, tmp_path):
    rows = export(POLICIES[kind](), tmp_path / "deploy", TARGETS, num_observations=200).targets
    assert all(row.max_error <= 1e-5 and row.broken > 0 for row in rows if kind != "convolution")


@pytest.mark.usefixtures("in_process")
def test_the_files_hold_the_weights_by_name_and_the_signature(tmp_path):
    export(discrete(), tmp_path / "deploy", TARGETS, action_mask=True, num_observations=50)
    names = {"inputs": ["observation", "action_mask"], "outputs": ["action"]}
    extra = {"signature.json": ""}
    made = torch.export.load(tmp_path / "deploy" / "policy.pt2", extra_files=extra)
    assert json.loads(extra["signature.json"]) == names
    assert made.state_dict["w_net_layers_0_weight"].shape == (32, 4)
    with pytest.warns(DeprecationWarning, match="deprecated"):
        script = torch.jit.load(tmp_path / "deploy" / "policy.pt", _extra_files=extra)
    assert json.loads(extra["signature.json"]) == names
    answer = script(torch.zeros(3, 4), torch.eye(3, 5, dtype=torch.bool))
    assert [y.tolist() for y in answer] == [[0, 1, 2]]


@pytest.mark.slow
def test_the_c_plus_plus_program_agrees_in_libtorch_and_notices_another_policy(tmp_path):
    compiler("g++")
    export(recurrent(), tmp_path / "deploy", ["torchscript"], name="arm", num_observations=50)
    home, made = Path(torch.__file__).parent, tmp_path / "program"
    source = tmp_path / "deploy" / "arm_torch.cpp"
    include = ["-I", home / "include", "-I", home / "include/torch/csrc/api/include"]
    link = ["-L", home / "lib", f"-Wl,-rpath,{home / 'lib'}", "-ltorch", "-ltorch_cpu", "-lc10"]
    run("g++", "-std=c++20", source, *include, *link, "-o", made)
    assert run(made, tmp_path / "deploy" / "arm.pt") == "0 outputs differ\n"
    other = POLICIES["recurrent"]()
    other = other.set_parameters({name: x + 0.1 for name, x in other.get_parameters().items()})
    export(other, tmp_path / "other", ["torchscript"], name="arm", num_observations=50)
    done = subprocess.run([made, tmp_path / "other" / "arm.pt"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "0 outputs" not in done.stdout.split()
    missing = subprocess.run([made, "nothing.pt"], capture_output=True, text=True, timeout=60)
    assert (missing.returncode, bool(missing.stderr)) == (2, True)


def test_without_pytorch_the_mend_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r'pip install "perdure\[torch\]"'):
        export(discrete(), tmp_path / "deploy", ["torchscript"])
    assert list(tmp_path.iterdir()) == []
