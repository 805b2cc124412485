"""The int8 form of a policy: its arithmetic by hand, its core, calibration, what is refused, what NaN does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perdure._core import ExportError
from perdure.env import make
from perdure.export import export
from perdure.export.precision import in_precision
from perdure.export.precision._calibration import Calibration
from perdure.export.precision._quantize import answers
from perdure.export.precision._ranges import scale_of, symmetric_scale
from perdure.export.program import lower
from perdure.export.proof._observations import broken_inputs
from perdure.export.targets.tflite._edge_tpu import check_core
from perdure.graph import Graph, Tensor, constant, emit, interpret
from perdure.graph.int8 import to_bytes
from perdure.space import Box, Discrete
from tests.support.export.int8 import int8_program, reference_rows
from tests.support.export.policies import (
    CONTINUOUS,
    OBSERVATION,
    POLICIES,
    Argmax,
    Clipped,
    Squashed,
    Stateless,
    discrete,
    mlp,
)
from tests.support.policy_kinds import make as make_policy

F = np.float32


def test_a_dense_layer_by_hand():
    x = Tensor((-1, 2), np.dtype(np.int8), "x")
    weight, bias = constant(np.array([[2, -3]], np.int8)), constant(np.array([10], np.int32))
    attrs = {"scales": ((0.5, 1),), "to": (0.25, -4), "activation": None}
    y = emit("DenseInt8", x, weight, bias, constant(np.array([0.1], F)), **attrs)
    # (5 - 1) * 2 + (-3 - 1) * -3 + 10 = 30; 30 * 0.5 * 0.1 / 0.25 = 6; 6 - 4 = 2
    # (127 - 1) * 2 + (-128 - 1) * -3 + 10 = 649 -> 129.8; 130 - 4 = 126
    # (-128 - 1) * 2 + (127 - 1) * -3 + 10 = -626 -> -125.2; -125 - 4 is no byte: -128
    given = {"x": np.array([[5, -3], [127, -128], [-128, 127]], np.int8)}
    np.testing.assert_array_equal(interpret(Graph([x], [("y", y)]), given)["y"], [[2], [126], [-128]])


def test_numbers_become_bytes_to_the_nearest_ties_to_even_and_clipped():
    real = np.array([0.5, 1.5, -0.5, 200.0, -np.inf, np.nan], F)
    np.testing.assert_array_equal(to_bytes(real, 3), [3, 5, 3, 127, -128, -128])


def test_a_scale_reaches_from_the_lowest_to_the_highest_value_and_holds_zero():
    assert scale_of((np.array([-1.0, 0.5]), np.array([0.0, 1.55]))) == (pytest.approx(0.01), -28)
    assert scale_of((np.array([2.0]), np.array([25.5])))[1] == -128  # 0 is held although it never was
    np.testing.assert_allclose(symmetric_scale(np.array([[1.27, -2.54], [0, 0]]), (1,)), [0.02, 1.0])


def test_the_table_of_tanh_has_the_scale_that_tflite_asks_for():
    table = answers("Tanh", (1 / 32, 0), (1 / 128, 0))
    assert table[128] == 0
    assert table[-1] == 127  # tanh(127 / 32) = 0.9993, and 128 is no byte
    assert table[128 + 16] == 59  # tanh(0.5) = 0.46212, times 128 is 59.15


def test_features_of_very_different_size_keep_their_digits():
    """One scale for all of them would leave 2.5 steps to the first."""
    size = np.array([0.01, 1.0, 100.0, 1.0], F)

    class Sized(Clipped):
        def choose(self, observation, action_mask):
            return jnp.tanh(self.net(observation / size))

    rows = reference_rows() * size
    program, policy, fitted = int8_program(Sized(OBSERVATION, Box(-1.0, 1.0, (2,)), mlp(4, 2)), rows)
    error = np.abs(interpret(program.graph, fitted.held_out)["action"] - policy(fitted.held_out)["action"])
    assert error.max() < 0.03
    assert error.mean() < 0.005


@pytest.mark.parametrize(
    "policy",
    [discrete(), POLICIES["continuous"](), Squashed(OBSERVATION, CONTINUOUS, mlp(4, 2)), POLICIES["several"]()],
)
def test_a_broken_number_in_any_component_is_not_answered_by_a_plausible_action(policy):
    program, _, _ = int8_program(policy)
    good = {"observation": reference_rows(20)}
    broken = broken_inputs(program.signature, good)
    assert len(broken["observation"]) == 4 * 3  # each component NaN, inf, -inf
    action = interpret(program.graph, broken)["action"]
    assert np.isnan(action).all() if action.dtype.kind == "f" else (action == -1).all()
    assert np.isfinite(interpret(program.graph, good)["action"]).all()
    assert not (interpret(program.plain, broken)["action"] == action).all()  # bytes alone would lose it


def test_the_memory_of_a_recurrent_policy_is_lost_with_a_broken_observation():
    program, _, fitted = int8_program(POLICIES["recurrent"]())
    rows = {name: x[:1].copy() for name, x in fitted.rows.items()}
    rows["observation"][0, 2] = np.nan
    answer = interpret(program.graph, rows)
    assert all(np.isnan(x).all() for x in answer.values())


def test_what_has_no_int8_form_between_two_layers_is_named_with_its_line(tmp_path):
    policy = Argmax(OBSERVATION, Discrete(5), mlp(4, 5, activation=jax.nn.elu))
    with pytest.raises(ExportError, match=r"\.py:\d+ .*stands between two layers.*Use relu or tanh"):
        export(policy, tmp_path / "deploy", ["tflite-int8"])
    assert list(tmp_path.iterdir()) == []


def test_a_policy_without_layers_is_refused(tmp_path):
    class Plain(Stateless):
        def choose(self, observation, action_mask):
            return jnp.argmax(observation).astype(jnp.int32)

    with pytest.raises(ExportError, match="no layer"):
        export(Plain(OBSERVATION, Discrete(4), None), tmp_path / "deploy", ["c-int8"])


def test_what_an_edge_tpu_does_not_take_is_named(tmp_path):
    class Tokens(Stateless):
        """A dense layer over four tokens."""

        def choose(self, observation, action_mask):
            tokens = jnp.tanh(jax.vmap(self.net)(observation.reshape(4, 1)))
            return jnp.argmax(tokens.sum(0)).astype(jnp.int32)

    policy = Tokens(OBSERVATION, Discrete(3), mlp(1, 3))
    with pytest.raises(ExportError, match=r"Edge TPU does not take a dense layer with the output \(.*4, 32\)"):
        export(policy, tmp_path / "deploy", ["tflite-int8"], num_observations=50)
    byte, attrs = Tensor((1, 8, 8, 2), np.dtype(np.int8), "x"), {"starts": (0, 0, 0, 0), "steps": (1, 2, 1, 1)}
    x = emit("Quantize", byte, scales=((1.0, 0),), to=(1.0, 0))
    with pytest.raises(ExportError, match="slice with steps"):
        check_core(Graph([byte], [("y", emit("Slice", x, sizes=(1, 4, 8, 2), **attrs))]))


def test_the_policys_own_program_is_left_as_it_was():
    program = lower(make_policy("mlp q, dueling"), action_mask=True)
    before = str(program.graph)
    rows = {"observation": reference_rows(60, 3), "action_mask": np.ones((60, 4), bool)}
    for precision in ("float16", "int8"):
        in_precision(program, precision, Calibration(rows, ""))
        assert str(program.graph) == before


def test_every_fifth_row_is_held_out():
    fitted = Calibration({"observation": np.arange(100)}, "")
    assert len(fitted.fitted["observation"]) == 80
    np.testing.assert_array_equal(fitted.held_out["observation"], np.arange(4, 100, 5))
    few = Calibration({"observation": np.arange(6)}, "")
    assert len(few.held_out["observation"]) == 6


def test_calibration_from_files_and_what_is_wrong_with_them(tmp_path):
    rows, policy = reference_rows(60), discrete()
    np.save(tmp_path / "rows.npy", rows)
    np.savez(tmp_path / "rows.npz", observation=rows)
    for given in (tmp_path / "rows.npy", str(tmp_path / "rows.npz")):
        _, _, fitted = int8_program(policy, env=given)
        np.testing.assert_array_equal(fitted.rows["observation"], rows)
    np.savez(tmp_path / "other.npz", states=rows)
    np.save(tmp_path / "wide.npy", rows[:, :3])
    (tmp_path / "rows.csv").write_text("")
    mistakes = [
        (tmp_path / "none.npy", FileNotFoundError, r"none\.npy does not exist"),
        (tmp_path / "rows.csv", ValueError, r"rows\.csv is no \.npy or \.npz"),
        (tmp_path / "other.npz", ValueError, r"no array 'observation', only states"),
        (tmp_path / "wide.npy", ValueError, r"shape \(60, 3\), not \(n, 4\)"),
        (make("Pendulum-v1"), ValueError, "space"),
        (3, TypeError, r"calibration is int\. Give an environment"),
    ]
    for given, error, message in mistakes:
        with pytest.raises(error, match=message):
            int8_program(policy, env=given)
