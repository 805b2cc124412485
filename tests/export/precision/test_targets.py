"""The targets `tflite-float16`, `tflite-int8` and `c-int8`: proven against their own graph, measured against the policy."""

import json

import equinox as eqx
import numpy as np
import pytest

from perdure._core import ExportError
from perdure.env import make
from perdure.export import export, verify
from perdure.export.targets.tflite._writer import Writer
from perdure.graph import interpret
from tests.support.export.c_compilers import needs_compiler
from tests.support.export.in_process import in_process as in_process
from tests.support.export.int8 import int8_program, operators, reference_rows, trained
from tests.support.export.policies import POLICIES, continuous, discrete

pytest.importorskip("ai_edge_litert", reason='LiteRT is not installed: pip install "perdure[tflite]"')
TFLITE = ["tflite", "tflite-float16", "tflite-int8"]


@needs_compiler
def test_the_report_tells_how_near_they_are_and_never_says_equal(tmp_path):
    policy, targets = trained("CartPole-v1"), [*TFLITE, "c", "c-int8"]
    report = export(policy, tmp_path / "deploy", targets, calibration=make("CartPole-v1"))
    rows = {row.target: row for row in report.targets}
    for target in ("tflite-float16", "tflite-int8", "c-int8"):
        row, distance = rows[target], rows[target].distance
        assert row.max_error <= 1e-5
        assert row.actions_equal + row.ties == row.observations >= 1000
        assert row.broken > 0
        assert distance.source == "20 episodes in CartPole"
        assert distance.observations >= 300
        assert distance.returns[1] >= 0.95 * distance.returns[0] >= 0.95 * 490
    assert rows["tflite-float16"].distance.actions_equal >= 0.999
    assert 0.85 <= rows["tflite-int8"].distance.actions_equal < 1.0
    assert rows["tflite"].distance is None
    assert rows["c-int8"].memory["flash_bytes"] < 0.7 * rows["c"].memory["flash_bytes"]  # code and tables are in both
    text = " ".join(str(report).split())
    assert "tflite-int8 is int8, near to the policy and not equal: 9" in text
    assert "edgetpu_compiler policy_int8.tflite (not run here" in text
    manifest = json.loads((tmp_path / "deploy" / "manifest.json").read_text())["targets"]
    assert [manifest[target]["status"] for target in ("tflite", "tflite-int8")] == ["proven", "quantised"]
    again = verify(tmp_path / "deploy", trust=True)
    assert {row.target: row.distance for row in again.targets} == {row.target: row.distance for row in report.targets}
    assert all(row.max_error <= 1e-5 for row in again.targets)


@pytest.mark.usefixtures("in_process")
def test_the_int8_core_is_in_one_piece(tmp_path):
    export(continuous(), tmp_path / "deploy", ["tflite-int8"], num_observations=50)
    found = operators((tmp_path / "deploy" / "policy_int8.tflite").read_bytes())
    core = [kind for kind, is_core in found if is_core]
    first = next(i for i, (_, is_core) in enumerate(found) if is_core)
    assert [kind for kind, _ in found[first : first + len(core)]] == core
    assert core == ["FULLY_CONNECTED", "TANH", "FULLY_CONNECTED", "TANH", "FULLY_CONNECTED"]
    outside = [kind for kind, is_core in found if not is_core]
    assert outside.count("QUANTIZE") == outside.count("DEQUANTIZE") == 1


@pytest.mark.usefixtures("in_process")
def test_float16_halves_the_weights_and_stays_within_their_rounding(tmp_path):
    rows = {r.target: r for r in export(POLICIES["squashed"](), tmp_path / "deploy", TFLITE).targets}
    saved = rows["tflite"].size_bytes - rows["tflite-float16"].size_bytes
    weights = 4 * 32 + 32 * 32 + 32 * 2
    assert saved > weights * 2 - 800  # two bytes each, less the operators that make them float32 again
    assert 0 < rows["tflite-float16"].distance.mean_error < 2**-11  # a float16 weight is that near, relatively
    assert rows["tflite-int8"].distance.mean_error < 0.02


@pytest.mark.usefixtures("in_process")
def test_a_weight_beyond_float16_is_named(tmp_path):
    policy = eqx.tree_at(lambda p: p.net.layers[0].weight, discrete(), replace_fn=lambda w: w.at[3, 1].set(7e4))
    with pytest.raises(ExportError, match=r"'net\.layers\.0\.weight' has 7e\+04, float16 ends at 65504"):
        export(policy, tmp_path / "deploy", ["tflite-float16"])


@pytest.mark.usefixtures("in_process")
def test_a_file_that_computes_another_core_is_not_written(tmp_path, monkeypatch):
    plain = Writer.set_scale

    def doubled(self, index, scale, zero):
        plain(self, index, [2 * x for x in scale] if isinstance(scale, list) else scale, zero)  # of weights and biases

    monkeypatch.setattr(Writer, "set_scale", doubled)
    with pytest.raises(ExportError, match="give another answer than the policy; nothing was written"):
        export(continuous(), tmp_path / "deploy", ["tflite-int8"], num_observations=100)
    assert list(tmp_path.iterdir()) == []


def test_int8_is_fitted_to_the_observations_given():
    rows = reference_rows() * np.float32(0.01)
    errors = []
    for given in (rows, None):
        program, policy, fitted = int8_program(continuous(), given)
        errors.append(
            np.abs(interpret(program.graph, {"observation": rows})["action"] - policy({"observation": rows})["action"])
        )
        assert fitted.source == ("samples of the observation space" if given is None else "the given observations")
    assert errors[0].mean() < errors[1].mean() / 1.5  # a narrow range has fine steps
