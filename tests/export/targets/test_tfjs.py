"""The target `tfjs`, proven in TF.js on Node."""

import json
import shutil

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perdure._core import ExportError
from perdure.export import export, verify
from perdure.export.proof import _javascript
from perdure.graph import Graph, Tensor, constant, emit, interpret
from perdure.space import Box
from tests.support.export.comparison import worst_error
from tests.support.export.in_process import in_process as in_process
from tests.support.export.node import TFJS, needs, run_tfjs
from tests.support.export.policies import POLICIES, Stateless, discrete, recurrent

needs_tfjs = needs(TFJS)


@pytest.fixture
def named_modules(monkeypatch):
    """`verify` takes npm packages of no working directory, so the variable has to name them."""
    monkeypatch.setenv("PERDURE_NODE_MODULES", str(_javascript.find_modules(TFJS)))


@needs_tfjs
@pytest.mark.usefixtures("named_modules")
def test_a_policy_with_memory_is_proven_in_tfjs_and_verifies(tmp_path):
    (row,) = export(recurrent(), tmp_path / "deploy", ["tfjs"]).targets
    assert row.runtime.startswith("TF.js on Node ")
    assert row.max_error <= 1e-5
    assert row.microseconds > 0
    assert verify(tmp_path / "deploy", trust=True).targets[0].max_error <= 1e-5
    model = json.loads((tmp_path / "deploy" / "policy_tfjs" / "model.json").read_text())
    assert list(model["signature"]["inputs"]) == ["observation", "state.hidden"]
    assert model["userDefinedMetadata"]["policy"] == "Recurrent"


@needs_tfjs
@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("kind", ["bits", "mixed", "convolution"])
def test_numbers_that_tfjs_does_not_have_come_out_as_the_policy_gives_them(kind, tmp_path):
    """int8, uint8 and masks; every kind of policy is in `export/targets/test_policies.py`."""
    (row,) = export(POLICIES[kind](), tmp_path / "deploy", ["tfjs"], num_observations=100).targets
    assert row.max_error <= 1e-5
    assert row.broken > 0 or kind == "convolution"


@needs_tfjs
@pytest.mark.usefixtures("in_process")
def test_a_wrong_weight_is_found_in_tfjs(tmp_path, monkeypatch):
    from perdure.export.targets.tfjs import _writer

    write = _writer.Writer.write

    def with_one_bit_less(self):
        model, weights = write(self)
        return model, bytes([weights[0] ^ 0x80, weights[1], weights[2], weights[3] ^ 0x80, *weights[4:]])

    monkeypatch.setattr(_writer.Writer, "write", with_one_bit_less)
    with pytest.raises(ExportError, match=r"export to tfjs: \d+ of \d+ observations give another answer"):
        export(POLICIES["continuous"](), tmp_path / "deploy", ["tfjs"], num_observations=50)


@needs_tfjs
def test_a_weight_used_as_it_is_and_transposed_is_two_constants():
    random = np.random.default_rng(0)
    x, weight = Tensor((-1, 3), np.dtype(np.float32), "x"), constant(random.normal(size=(3, 3)).astype(np.float32), "w")
    row = emit("Gather", weight, emit("ArgMax", x, axis=1, keep=False), axis=0, batch_dims=0)
    graph = Graph([x], [("y", emit("Add", emit("Dense", x, weight, activation=None), row))])
    rows = {"x": random.normal(size=(7, 3)).astype(np.float32)}
    assert worst_error(run_tfjs(graph, rows), interpret(graph, rows).values()) <= 1e-5


class Odd(Stateless):
    def choose(self, observation, action_mask):
        return jax.nn.relu(self.net(observation[None])).reshape(-1)[:2]


def test_what_tfjs_has_no_operator_for_is_named_with_its_line(tmp_path):
    net = eqx.nn.Conv2d(1, 2, 2, stride=2, dilation=2, key=jax.random.key(0))
    policy = Odd(Box(-1, 1, (9, 9)), Box(-np.inf, np.inf, (2,)), net)
    with pytest.raises(ExportError, match=r"test_tfjs\.py:\d+ .*TF\.js has no convolution with strides and dilation"):
        export(policy, tmp_path / "deploy", ["tfjs"])
    assert list(tmp_path.iterdir()) == []

    class Wide(Stateless):
        def choose(self, observation, action_mask):
            return jnp.flip(observation, 0)[0, 0, 0, 0, :, 0]

    policy = Wide(Box(-1, 1, (2, 1, 2, 1, 2, 1)), Box(-np.inf, np.inf, (2,)), None)
    with pytest.raises(ExportError, match=r"test_tfjs\.py:\d+ .* has over 6 axes"):
        export(policy, tmp_path / "deploy", ["tfjs"])


def test_without_node_it_is_written_and_not_proven_here(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    report = export(discrete(), tmp_path / "deploy", ["tfjs", "weights"], num_observations=50)
    tfjs, weights = report.targets
    assert weights.is_proven
    assert not tfjs.is_proven
    assert tfjs.missing == _javascript.NO_NODE
    assert tfjs.size_bytes > 1000
    text = " ".join(str(report).split())
    assert "tfjs: not proven here. Node.js is not installed. Install it" in text
    manifest = json.loads((tmp_path / "deploy" / "manifest.json").read_text())["targets"]
    assert manifest["tfjs"]["status"] == "not proven here"
    assert manifest["tfjs"]["install"] == _javascript.NO_NODE
    assert "max_error" not in manifest["tfjs"]
    assert [row.is_proven for row in verify(tmp_path / "deploy", trust=True).targets] == [False, True]


@needs_tfjs
@pytest.mark.usefixtures("named_modules")
def test_what_was_written_without_node_is_proven_by_verify_with_it(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda name: None)
        export(discrete(), tmp_path / "deploy", ["tfjs"], num_observations=20)
    (row,) = verify(tmp_path / "deploy", trust=True).targets
    assert row.is_proven
    assert row.max_error <= 1e-5
    assert row.observations > 10


def test_without_its_package_the_mend_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PERDURE_NODE_MODULES", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    missing = _javascript.missing_package(TFJS)
    assert "npm install @tensorflow/tfjs" in missing
    assert "PERDURE_NODE_MODULES" in missing
    (tmp_path / "node_modules" / TFJS).mkdir(parents=True)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert _javascript.missing_package(TFJS) is None
    monkeypatch.setenv("PERDURE_NODE_MODULES", str(tmp_path / "elsewhere"))
    assert _javascript.missing_package(TFJS) == missing


def test_another_export_replaces_the_folder_beside_other_files(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    export(discrete(), tmp_path / "deploy", ["tfjs"], num_observations=20)
    (tmp_path / "deploy" / "notes.txt").write_text("mine")
    export(discrete(seed=1), tmp_path / "deploy", ["tfjs"], force=True, num_observations=20)
    assert (tmp_path / "deploy" / "notes.txt").read_text() == "mine"
    verify(tmp_path / "deploy", trust=True)
