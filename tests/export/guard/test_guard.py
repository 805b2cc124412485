"""What a broken observation gives: -1 for a discrete action, NaN for a continuous one, the same in numpy and ONNX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perdure._core import ExportError
from perdure.export.guard import add_nan_guard
from perdure.export.program import lower
from perdure.graph import interpret, simplify
from perdure.space import Box, Discrete, MultiDiscrete
from tests.support.export.comparison import F, graph_of, run_onnx, worst_error
from tests.support.export.policies import CONTINUOUS, OBSERVATION, POLICIES, Argmax, Several, Stateless, discrete, mlp

BAD = (np.nan, np.inf, -np.inf)


def answer(policy, rows, **settings):
    """The guarded policy on rows by input name, in numpy; checked to be the same in onnxruntime."""
    graph = lower(policy, **settings).graph
    got = interpret(graph, rows)
    assert worst_error(run_onnx(graph, rows), got.values()) < 1e-4
    return got


def one_bad_entry(value, size=4):
    rows = np.full((size, size), 0.3, F)
    np.fill_diagonal(rows, value)
    return rows


@pytest.mark.parametrize("kind", ["discrete", "several"])
def test_a_nan_anywhere_gives_minus_one(kind):
    assert (answer(POLICIES[kind](), {"observation": one_bad_entry(np.nan)})["action"] == -1).all()


@pytest.mark.parametrize("kind", ["continuous", "normalized", "squashed", "attention", "one-sided bounds"])
def test_a_nan_anywhere_gives_nan(kind):
    assert np.isnan(answer(POLICIES[kind](), {"observation": one_bad_entry(np.nan)})["action"]).all()


def test_bits_become_minus_one_in_int8():
    action = answer(POLICIES["bits"](), {"observation": one_bad_entry(np.nan)})["action"]
    assert action.dtype == np.int8
    assert (action == -1).all()


def test_an_action_space_that_contains_minus_one_gets_the_number_below_it():
    program = lower(discrete(start=-2))
    assert program.signature.sentinels == {"action": -3}
    assert (answer(discrete(start=-2), {"observation": one_bad_entry(np.nan)})["action"] == -3).all()


def test_infinite_logits_are_an_alarm_though_argmax_has_an_answer():
    policy = Argmax(OBSERVATION, Discrete(5), mlp(4, 5, activation=jax.nn.relu))
    assert (answer(policy, {"observation": one_bad_entry(np.inf)})["action"] == -1).all()


def test_an_infinite_number_before_the_last_clip_gives_nan():
    policy = POLICIES["one-sided bounds"]()
    assert np.isnan(answer(policy, {"observation": one_bad_entry(np.inf)})["action"]).all(-1).any()


def test_an_action_widened_after_its_squash_is_guarded_too():
    class Outer(Stateless):
        def choose(self, observation, action_mask):
            return (jnp.tanh(observation)[:, None] * jnp.array([0.1, 0.2])).T.reshape(-1)

    action = answer(Outer(OBSERVATION, Box(-1, 1, (8,)), None), {"observation": one_bad_entry(np.inf)})["action"]
    np.testing.assert_array_equal(np.isnan(action), np.tile(np.eye(4, dtype=bool), 2))


def test_an_infinity_that_the_policy_saturates_is_a_large_number():
    policy = POLICIES["normalized"]()
    rows = np.array([[0, 0, np.inf, 0], [0, 0, 1e6, 0]], F)
    action = answer(policy, {"observation": rows})["action"]
    np.testing.assert_allclose(action[0], action[1], rtol=1e-6)


@pytest.mark.parametrize("mask_value", [-np.inf, np.finfo(F).min, -1e9])
def test_masking_is_no_alarm(mask_value):
    class Masked(Stateless):
        def choose(self, observation, action_mask):
            logits = jax.nn.log_softmax(jnp.where(action_mask, self.net(observation), mask_value))
            return jnp.argmax(logits)

    policy, mask = Masked(OBSERVATION, Discrete(5), mlp(4, 5)), np.eye(5, dtype=bool)
    rows = {"observation": np.full((5, 4), 0.3, F), "action_mask": mask}
    assert answer(policy, rows, action_mask=True)["action"].tolist() == [0, 1, 2, 3, 4]


def test_masking_by_a_penalty_is_no_alarm():
    class Penalised(Stateless):
        def choose(self, observation, action_mask):
            return jnp.argmax(self.net(observation) + jnp.where(action_mask, 0.0, -jnp.inf))

    policy, mask = Penalised(OBSERVATION, Discrete(5), mlp(4, 5)), np.eye(5, dtype=bool)
    rows = {"observation": np.full((5, 4), 0.3, F), "action_mask": mask}
    assert answer(policy, rows, action_mask=True)["action"].tolist() == [0, 1, 2, 3, 4]


def test_masked_components_of_several_are_no_alarm():
    policy = Several(OBSERVATION, MultiDiscrete((3, 4)), mlp(4, 7))
    mask = np.array([[0, 1, 0, 0, 0, 0, 1]], bool)
    rows = {"observation": np.full((1, 4), 0.3, F), "action_mask": mask}
    assert answer(policy, rows, action_mask=True)["action"].tolist() == [[1, 3]]


def test_a_nan_logit_of_an_illegal_action_is_an_alarm():
    class Fragile(Stateless):
        def choose(self, observation, action_mask):
            return jnp.argmax(jnp.where(action_mask, observation, -jnp.inf))

    policy = Fragile(OBSERVATION, Discrete(4), None)
    rows = {"observation": np.array([[1, np.nan, 0, 0]], F), "action_mask": np.array([[1, 0, 1, 1]], bool)}
    assert answer(policy, rows, action_mask=True)["action"].tolist() == [-1]


def test_each_component_of_several_has_its_own_alarm():
    class Apart(Stateless):
        def choose(self, observation, action_mask):
            return jnp.stack([jnp.argmax(observation[:2]), jnp.argmax(observation[2:])])

    policy = Apart(OBSERVATION, MultiDiscrete((2, 2)), None)
    rows = {"observation": np.array([[0, 1, np.nan, 0], [np.nan, 1, 0, 1]], F)}
    assert answer(policy, rows)["action"].tolist() == [[1, -1], [-1, 1]]


def test_a_comparison_does_not_hide_a_nan():
    class Thresholds(Stateless):
        def choose(self, observation, action_mask):
            return jnp.where(observation[:2] > 0, 0.4, 0.1)

    policy = Thresholds(OBSERVATION, CONTINUOUS, None)
    rows = {"observation": np.array([[np.nan, 1, 0, 0], [-1, 1, 0, 0]], F)}
    action = answer(policy, rows)["action"]
    assert np.isnan(action[0, 0])
    np.testing.assert_allclose(action[1], [0.1, 0.4])


def test_the_authors_own_handling_of_nan_is_respected():
    class Careful(Stateless):
        def choose(self, observation, action_mask):
            return jnp.clip(jnp.where(jnp.isnan(observation), 0.25, observation)[:2], 0.0, 0.5)

    policy = Careful(OBSERVATION, Box(0.0, 0.5, (2,)), None)
    rows = {"observation": np.array([[np.nan, 0.5, 0, 0]], F)}
    np.testing.assert_allclose(answer(policy, rows)["action"], [[0.25, 0.5]])


@pytest.mark.parametrize(
    "function", [jnp.max, jnp.sort, lambda x: jnp.take(x, jnp.argmax(x)), lambda x: x.astype(jnp.int32) * 0.5]
)
def test_what_runtimes_lose_becomes_nan(function):
    graph = simplify(add_nan_guard(simplify(graph_of(function, {"x": ((4,), F)})), ["y0"]))
    rows = {"x": np.array([[1, np.nan, 3, 0]], F)}
    (got,) = run_onnx(graph, rows)
    assert np.isnan(got).any()
    assert np.array_equal(np.isnan(got), np.isnan(interpret(graph, rows)["y0"]))


def test_a_leaky_relu_needs_no_guard():
    plain = simplify(graph_of(lambda x: jax.nn.leaky_relu(x), {"x": ((4,), F)}))
    assert len(simplify(add_nan_guard(plain, ["y0"])).nodes()) == len(plain.nodes())


def test_an_unsigned_action_has_no_number_for_lost():
    class Bytes(Stateless):
        def choose(self, observation, action_mask):
            return observation.astype(jnp.uint8)

    policy = Bytes(OBSERVATION, Box(0, 255, (4,), np.uint8), None)
    with pytest.raises(ExportError, match=r"'action' is uint8 .* nan_guard=False"):
        lower(policy)
    assert lower(policy, nan_guard=False).signature.actions[0].dtype == np.uint8


@pytest.mark.parametrize("bad", BAD)
def test_a_broken_memory_is_an_alarm(bad):
    rows = {"observation": np.full((1, 4), 0.3, F), "state.hidden": np.zeros((1, 8), F)}
    rows["state.hidden"][0, 3] = bad
    got = answer(POLICIES["recurrent"](), rows)
    assert np.isnan(got["action"]).all() or np.isfinite(bad)
