"""The target `stablehlo`: proven in a process that has JAX and nothing of the policy."""

import jax
import numpy as np
import pytest
from export_policies import POLICIES, discrete
from jax import export as jax_export

from perdure.export import export, verify
from perdure.export._program import lower
from perdure.export.stablehlo._target import serialized


@pytest.mark.parametrize("kind", ["several", "mixed", "convolution", "recurrent"])
def test_the_bytes_are_proven_in_jax_and_verify(kind, tmp_path):
    (row,) = export(POLICIES[kind](), tmp_path / "deploy", ["stablehlo"]).targets
    assert row.runtime == f"JAX {jax.__version__}"
    assert row.max_error <= 1e-5
    assert verify(tmp_path / "deploy").targets[0].max_error <= 1e-5


def test_any_batch_runs_and_all_platforms_are_there_in_full_precision(tmp_path):
    export(discrete(), tmp_path / "deploy", ["stablehlo"], action_mask=True, num_observations=50)
    made = jax_export.deserialize(bytearray((tmp_path / "deploy" / "policy.stablehlo").read_bytes()))
    assert made.platforms == ("cpu", "cuda", "tpu")
    text = made.mlir_module()
    assert text.count("= stablehlo.dot_general") == text.count("precision = [HIGHEST, HIGHEST]") >= 3
    for batch in (1, 13):
        inputs = {"observation": np.zeros((batch, 4), np.float32), "action_mask": np.eye(batch, 5, 2, dtype=bool)}
        answer = made.call(inputs)["action"]
        assert answer.shape == (batch,)
        assert answer.dtype == np.int32
        assert answer[0] == 2


def test_the_bytes_are_the_same_for_the_same_policy_and_name_no_file_of_this_machine():
    first, second = serialized(lower(discrete())), serialized(lower(discrete()))
    assert first == second
    assert b".py" not in first
