"""The target `tflite`, proven in LiteRT."""

import importlib.util

import jax.numpy as jnp
import numpy as np
import pytest

from perdure._core import ExportError, MissingExtraError
from perdure.export import export, verify
from perdure.export.targets.tflite import _target
from perdure.space import Box
from tests.support.export.in_process import in_process as in_process
from tests.support.export.policies import OBSERVATION, POLICIES, Stateless, discrete, recurrent

needs_litert = pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_litert") is None, reason='LiteRT is not installed: pip install "perdure[tflite]"'
)


@needs_litert
def test_a_policy_with_memory_is_proven_in_litert_and_verifies(tmp_path):
    (row,) = export(recurrent(), tmp_path / "deploy", ["tflite"]).targets
    assert row.runtime.startswith("LiteRT ")
    assert row.max_error <= 1e-5
    assert verify(tmp_path / "deploy").targets[0].max_error <= 1e-5


@needs_litert
@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("kind", [kind for kind in POLICIES if kind != "recurrent"])
def test_every_kind_of_policy_is_proven_in_litert(kind, tmp_path):
    (row,) = export(POLICIES[kind](), tmp_path / "deploy", ["tflite"], num_observations=200).targets
    assert row.max_error <= 1e-5
    assert row.broken > 0 or kind == "convolution"


@needs_litert
def test_what_tflite_has_no_operator_for_is_named_with_its_line(tmp_path):
    class Odd(Stateless):
        def choose(self, observation, action_mask):
            return jnp.sinh(observation[:2])

    with pytest.raises(ExportError, match=r"test_tflite\.py:\d+ .*TFLite has no counterpart of Sinh"):
        export(Odd(OBSERVATION, Box(-np.inf, np.inf, (2,)), None), tmp_path / "deploy", ["tflite"])
    assert list(tmp_path.iterdir()) == []


def test_without_litert_the_mend_is_named(tmp_path, monkeypatch):
    def missing(module, extra):
        raise MissingExtraError(f'{module} is not installed. Install it with: pip install "perdure[{extra}]"')

    monkeypatch.setattr(_target, "import_extra", missing)
    with pytest.raises(MissingExtraError, match=r'pip install "perdure\[tflite\]"'):
        export(discrete(), tmp_path / "deploy", ["tflite"])
