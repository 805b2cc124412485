"""Observations of unusual shapes and dtypes, in the targets that every machine has."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure._core import ExportError
from perdure.export import export, to_onnx
from perdure.policy import MLPActorCriticPolicy, MLPQPolicy
from perdure.space import AbstractSpace, Box, Dict, Discrete
from tests.support.export.policies import Stateless

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX is run with the extra onnx")


class Spaces(NamedTuple):
    observation_space: AbstractSpace
    action_space: AbstractSpace


@pytest.mark.parametrize("target", ["onnx", "weights"])
@pytest.mark.parametrize(
    "space", [Box(-1, 1, ()), Box(-np.inf, np.inf, ()), Dict(a=Box(-1, 1, ()), b=Discrete(3))], ids=repr
)
def test_a_scalar_observation_is_exported_and_proven(space, target, tmp_path):
    policy = MLPQPolicy(Spaces(space, Discrete(3)), hidden_sizes=(4,), key=jr.key(0))
    (result,) = export(policy, tmp_path / "out", targets=[target]).targets
    assert result.actions_equal == result.observations > 500
    assert result.broken >= 3  # NaN and both infinities in the scalar


def test_a_scalar_action_is_exported_and_proven(tmp_path):
    policy = MLPActorCriticPolicy(Spaces(Box(-1, 1, ()), Box(-2, 2, ())), hidden_sizes=(4,), key=jr.key(0))
    (result,) = export(policy, tmp_path / "out", targets=["onnx"]).targets
    assert result.max_error < 1e-5


@pytest.mark.parametrize(
    ("space", "dtype"),
    [
        (Box(0, 65535, (3,), np.uint16), np.int32),
        (Box(-300, 300, (3,), np.int16), np.int32),
        (Box(-np.inf, np.inf, (3,), np.float16), np.float32),
    ],
    ids=repr,
)
def test_numbers_of_16_bits_are_given_in_the_next_dtype_and_answered_as_the_policy_does(space, dtype, tmp_path):
    policy = MLPActorCriticPolicy(Spaces(space, Box(-9, 9, (2,))), hidden_sizes=(4,), key=jr.key(0))
    export(policy, tmp_path / "out", targets=["onnx"])
    session = onnxruntime.InferenceSession(tmp_path / "out" / "policy.onnx")
    observations = np.stack([np.asarray(space.sample(key=key)) for key in jr.split(jr.key(1), 20)])
    (actions,) = session.run(["action"], {"observation": observations.astype(dtype)})
    _, expected = jax.vmap(lambda x: policy(None, x))(jnp.asarray(observations))
    np.testing.assert_allclose(actions, expected, rtol=1e-5, atol=1e-5)


class Wraps(Stateless):
    """Counts in the dtype of its observation, which begins anew at 65536."""

    def choose(self, observation, action_mask):
        return (observation[0] + observation[0] > 9).astype(jnp.int32)


def test_a_policy_that_counts_in_16_bits_is_refused_and_not_counted_otherwise():
    with pytest.raises(ExportError, match=r"computes with 'observation' in uint16.*astype\(int32\)"):
        to_onnx(Wraps(Box(0, 65535, (3,), np.uint16), Discrete(2), None))
