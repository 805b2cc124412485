"""Every kind of policy exports to ONNX with proof; those with a memory over 100 steps with resets."""

import pytest

from perdure.export import export
from policy_kinds import make, some_slow

pytest.importorskip("onnx", reason="ONNX is written with the extra onnx")
pytest.importorskip("onnxruntime", reason="ONNX is run with the extra onnx")


@pytest.mark.parametrize("kind", some_slow(("mlp soft", "liquid q")))
def test_every_kind_of_policy_is_the_same_in_onnxruntime(kind, tmp_path):
    policy = make(kind)
    has_choices = policy.action_space.mask_size > 0
    report = export(policy, tmp_path / "policy", action_mask=has_choices, num_observations=200)
    assert (tmp_path / "policy" / "policy.onnx").is_file()
    assert report.targets[0].target == "onnx"
