"""`export` and `verify`: what is written, what is refused, what a changed byte does."""

import dataclasses
import json
import time

import jax.numpy as jnp
import numpy as np
import pytest

import perdure.export
import perdure.export.targets._registry as targets
from perdure._core import ExportError, FileFormatError, import_extra
from perdure.env.classic_control import CartPole
from perdure.export import ExportReport, export, verify
from perdure.export.program import Port
from perdure.export.proof._tolerance import compare, near_ties
from perdure.export.targets import Written
from perdure.export.targets.onnx import ONNX
from perdure.graph import Graph, constant, emit, name_tensors, simplify
from perdure.space import Box, MultiDiscrete
from tests.support.export.comparison import graph_of
from tests.support.export.policies import POLICIES, Clipped, continuous, discrete, mlp, recurrent

pytest.importorskip("onnx", reason="ONNX is written with the extra onnx")
pytest.importorskip("onnxruntime", reason="ONNX is run with the extra onnx")


@pytest.mark.parametrize("kind", POLICIES)
def test_every_kind_of_policy_is_proven_and_verifies(kind, tmp_path):
    report = export(POLICIES[kind](), tmp_path / "deploy")
    (row,) = report.targets
    assert row.observations >= 1000
    assert row.max_error <= 1e-5
    assert row.actions_equal + row.ties == row.observations
    again = verify(tmp_path / "deploy").targets[0]
    assert again.max_error <= 1e-5


def test_masks_and_optional_outputs_are_proven(tmp_path):
    row = export(discrete(), tmp_path / "a", action_mask=True).targets[0]
    assert row.actions_equal == row.observations - row.ties
    several = POLICIES["several"]()
    assert isinstance(several.action_space, MultiDiscrete)
    assert export(several, tmp_path / "b", action_mask=True).targets[0].max_error == 0


def test_a_recurrent_policy_is_proven_over_sequences(tmp_path):
    row = export(recurrent(), tmp_path / "deploy").targets[0]
    assert row.observations > 1000 + 100 * 7


def test_the_folder_has_the_model_golden_answers_and_a_manifest(tmp_path):
    export(discrete(), tmp_path / "deploy", name="pole")
    assert {p.name for p in (tmp_path / "deploy").iterdir()} == {"pole.onnx", "golden.safetensors", "manifest.json"}
    assert list(tmp_path.iterdir()) == [tmp_path / "deploy"]  # nothing temporary is left
    manifest = json.loads((tmp_path / "deploy" / "manifest.json").read_text())
    assert manifest["targets"]["onnx"]["status"] == "proven"
    assert manifest["targets"]["onnx"]["runtime"].startswith("onnxruntime ")
    assert set(manifest["files"]) == {"pole.onnx", "golden.safetensors"}


def test_the_report_prints_as_a_table(tmp_path, capsys):
    report = export(discrete(), tmp_path / "deploy")
    assert isinstance(report, ExportReport)
    print(report)
    printed = capsys.readouterr().out
    for text in ("target", "policy.onnx", "|error|", "actions", "us per", "onnxruntime"):
        assert text in printed


def test_a_byte_changed_anywhere_fails_and_names_the_file(tmp_path):
    export(discrete(), tmp_path / "deploy")
    for path in sorted((tmp_path / "deploy").iterdir()):
        data = path.read_bytes()
        for at in np.linspace(0, len(data) - 1, 9).astype(int):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            with pytest.raises(
                FileFormatError, match=r"manifest\.json|JSON" if path.name == "manifest.json" else path.name
            ):
                verify(tmp_path / "deploy")
        path.write_bytes(data)
    verify(tmp_path / "deploy")


def test_a_missing_file_and_a_missing_manifest_are_named(tmp_path):
    export(discrete(), tmp_path / "deploy")
    (tmp_path / "deploy" / "policy.onnx").unlink()
    with pytest.raises(FileFormatError, match=r"policy\.onnx is missing"):
        verify(tmp_path / "deploy")
    with pytest.raises(FileNotFoundError, match="is no export"):
        verify(tmp_path)


def broken_writer(program, directory, name):
    """Writes a model whose float outputs are off by a thousandth and whose integer ones by one."""
    outputs = []
    for output, t in program.graph.outputs:
        step = constant(np.asarray(0.001 if t.dtype.kind == "f" else 1, t.dtype), "fault")
        outputs.append((output, emit("Add", t, step)))
    graph = name_tensors(Graph(program.graph.inputs, outputs))
    wrong = type(program)(program.signature, program.plain, graph, program.metadata)
    return ONNX.write(wrong, directory, name)


@pytest.mark.parametrize("make", [discrete, continuous])
def test_an_export_that_differs_is_not_written(make, tmp_path, monkeypatch):
    export(make(), tmp_path / "deploy")
    before = {p.name: p.read_bytes() for p in (tmp_path / "deploy").iterdir()}
    monkeypatch.setitem(targets.TARGETS, "onnx", dataclasses.replace(ONNX, write=broken_writer))
    with pytest.raises(ExportError, match=r"(?s)give another answer.*observation = .*policy: action.*onnx: action"):
        export(make(), tmp_path / "deploy")
    with pytest.raises(ExportError):
        export(make(), tmp_path / "new")
    assert {p.name: p.read_bytes() for p in (tmp_path / "deploy").iterdir()} == before
    assert list(tmp_path.iterdir()) == [tmp_path / "deploy"]


def test_a_model_that_does_not_load_is_not_written(tmp_path, monkeypatch):
    def garbage(program, directory, name):
        (directory / "policy.onnx").write_bytes(b"not a model")
        return Written("policy.onnx")

    monkeypatch.setitem(targets.TARGETS, "onnx", dataclasses.replace(ONNX, write=garbage))
    with pytest.raises(ExportError, match="does not run"):
        export(discrete(), tmp_path / "deploy")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_refused_and_with_force_they_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"notes\.txt"):
        export(discrete(), tmp_path)
    export(discrete(), tmp_path, force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    verify(tmp_path)


def test_an_earlier_export_is_replaced(tmp_path):
    export(discrete(), tmp_path / "deploy", name="first")
    export(discrete(seed=1), tmp_path / "deploy", name="second", force=True)
    assert not (tmp_path / "deploy" / "first.onnx").exists()
    verify(tmp_path / "deploy")


def test_all_are_the_targets_whose_writers_are_installed(monkeypatch):
    installed = [target.name for target in targets.find_targets("all")]
    assert "weights" in installed
    lacking = dataclasses.replace(targets.TARGETS["weights"], require=lambda: import_extra("no_such_module", "none"))
    monkeypatch.setitem(targets.TARGETS, "weights", lacking)
    left = [target.name for target in targets.find_targets(["all"])]
    assert left == [name for name in installed if name != "weights"]


def test_an_unknown_target_is_refused_with_the_close_match(tmp_path):
    with pytest.raises(ValueError, match=r"'onx'.*Did you mean 'onnx'.*Known: onnx"):
        export(discrete(), tmp_path / "deploy", ["onx"])
    assert list(tmp_path.iterdir()) == []


def test_observations_of_the_user_are_compared_too(tmp_path):
    policy = continuous()  # without boundaries, whose number depends on the samples
    plain = export(policy, tmp_path / "a", num_observations=50).targets[0].observations
    more = export(policy, tmp_path / "b", num_observations=50, observations=np.zeros((64, 4))).targets[0].observations
    assert more == plain + 64
    with pytest.raises(ValueError, match=r"has shape \(64, 5\), wanted \(n, 4\)"):
        export(discrete(), tmp_path / "c", observations=np.zeros((64, 5)))


def test_a_near_tie_is_counted_and_a_clear_choice_is_not():
    graph = simplify(graph_of(jnp.argmax, {"x": ((3,), np.float32)}))
    rows = {"x": np.array([[0, 1, 1.00001], [0, 1, 1.1]], np.float32)}
    ties = near_ties(graph, rows)
    assert ties.tolist() == [True, False]
    port = Port("action", (), np.dtype(np.int32))
    want, got = {"action": np.array([2, 2], np.int32)}, {"action": np.array([1, 1], np.int32)}
    rows = compare((port,), got, want, lambda row: bool(ties[row]))
    assert rows.excused.tolist() == [True, False]
    assert rows.failed.tolist() == [False, True]


def test_export_of_an_mlp_takes_about_a_second(tmp_path):
    from jax import random as jr

    from perdure.policy import MLPActorCriticPolicy

    policy = MLPActorCriticPolicy(env=CartPole(), key=jr.key(0))
    start = time.perf_counter()
    export(policy, tmp_path / "deploy")
    assert time.perf_counter() - start < 15  # about 1 s; the run-time type checks of the tests cost several more


def test_a_relu_policy_with_large_inputs_is_proven(tmp_path):
    import jax

    policy = Clipped(Box(-np.inf, np.inf, (4,)), Box(-1.0, 1.0, (2,)), mlp(4, 2, activation=jax.nn.relu))
    assert export(policy, tmp_path / "deploy").targets[0].max_error < 1e-4


def test_the_public_paths_are_what_they_were():
    from perdure.export import c, onnx, targets

    assert (c.build, c.build_wasm, c.load, c.write_c, c.Policy) == tuple(
        getattr(targets.c, name) for name in ("build", "build_wasm", "load", "write_c", "Policy")
    )
    assert onnx.to_onnx is perdure.export.to_onnx
    assert onnx.write_onnx is targets.onnx.write_onnx
