"""The target `stablehlo`: proven in a process that has JAX and nothing of the policy."""

import jax
import numpy as np
import pytest
from jax import export as jax_export

from perdure.export import export, verify
from perdure.export.program import lower
from perdure.export.targets.stablehlo._target import serialized
from tests.support.export.policies import POLICIES, discrete


@pytest.mark.parametrize("kind", ["several", "mixed", "convolution", "recurrent"])
def test_the_bytes_are_proven_in_jax_and_verify(kind, tmp_path):
    (row,) = export(POLICIES[kind](), tmp_path / "deploy", ["stablehlo"]).targets
    assert row.runtime == f"JAX {jax.__version__}"
    assert row.max_error <= 1e-5
    assert verify(tmp_path / "deploy").targets[0].max_error <= 1e-5


def test_the_largest_of_huge_scores_is_its_own_maximum():
    """XLA rounds a product that it fuses with a subtraction once, the maximum of such products twice."""
    rows = [[1.030915, -5.154609e-3, 5.862432e4, 5.715714e5], [-1.941175, 7.272802e-1, 9.623901e5, 9.144204e5]]
    made = jax_export.deserialize(bytearray(serialized(lower(POLICIES["attention"]()))))
    answer = made.call({"observation": np.array(rows, np.float32)})["action"]
    np.testing.assert_array_equal(answer, [[-2, 0], [-2, 0]])


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
