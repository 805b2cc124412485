"""What the proof lets pass and what it refuses, with writers that are wrong in one place."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

import perdure.export.targets._registry as registry
from perdure._core import ExportError
from perdure.export import export, verify
from perdure.graph import emit
from perdure.policy import LiquidDeterministicPolicy
from perdure.space import Box, Discrete
from tests.support.export.faulty import faulty, last_of_equals, like, scaled
from tests.support.export.policies import Stateless, discrete
from tests.support.policy_kinds import Spaces

pytest.importorskip("onnx", reason="ONNX is written with the extra onnx")
pytest.importorskip("onnxruntime", reason="ONNX is run with the extra onnx")
INF = np.inf


class Function(Stateless):
    function: Callable = eqx.field(static=True)

    def choose(self, observation, action_mask):
        return self.function(observation)


def of(observations, actions, function):
    return Function(observations, actions, None, function)


def box(low, high, count, dtype=np.float32):
    return Box(low, high, (count,), dtype=dtype)


BUCKETS = of(box(0, 1, 1), Discrete(40), lambda x: jnp.clip(jnp.floor(x[0] * 40).astype(int), 0, 39))
LARGEST = of(box(-1, 1, 4), Discrete(4), jnp.argmax)
CLIPPED = of(box(-INF, INF, 3), box(-INF, INF, 3), lambda x: jnp.clip(x * 0.001, -5.0, 5.0) * 2)
FAR = of(box(-1, 1, 3), box(-INF, INF, 3), lambda x: jnp.clip(x * 0.001, -5.0, 5.0) * 2)


def pixels():
    weight, bias = jr.normal(jr.key(0), (4, 36)) / 6, jr.normal(jr.key(1), (4,)) / 6
    space = Box(0, 255, (6, 6, 1), dtype=np.uint8)
    return of(space, Discrete(4), lambda x: jnp.argmax(weight @ (x.astype(jnp.float32) / 255.0).reshape(-1) + bias))


def bucket_lost(node, inputs):
    """Floor gives 0 for 20."""
    if node.op != "Floor":
        return None
    floor = emit("Floor", inputs[0])
    return emit("Where", emit("Eq", floor, like(20, floor)), like(0, floor), floor)


def clip_wider(node, inputs):
    if node.op == "Clip":
        return emit("Clip", inputs[0], lo=node.attrs["lo"], hi=node.attrs["hi"] * 1.001)
    return None


def pixels_by_256(node, inputs):
    """Whether the scaling has become a product or not."""
    return scaled("Mul", 255 / 256)(node, inputs) or scaled("Div", 256 / 255)(node, inputs)


RIGHT = {
    "buckets": BUCKETS,
    "ten buckets of a wide space": of(
        box(-5, 5, 1), Discrete(10), lambda x: jnp.clip(jnp.floor(x[0] * 10).astype(int), 0, 9)
    ),
    "largest": LARGEST,
    "pixels": pixels(),
    "clipped": CLIPPED,
    "sign": of(box(-INF, INF, 3), box(-INF, INF, 3), lambda x: -jnp.sign(x)),
    "norm": of(box(-INF, INF, 3), box(-INF, INF, 3), lambda x: x / jnp.linalg.norm(x)),
    "root": of(box(0, INF, 3), box(-INF, INF, 3), jnp.sqrt),
    "quotient": of(box(-INF, INF, 2), box(-INF, INF, 1), lambda x: x[:1] / x[1:]),
    "round": of(box(-5, 5, 1), Discrete(12), lambda x: (jnp.round(x[0]) + 5).astype(int)),
    "order": of(box(-5, 5, 4), box(-9, 9, 4), lambda x: jnp.sort(x)[jnp.argsort(x)]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_writer_is_proven(name, tmp_path):
    (row,) = export(RIGHT[name], tmp_path / "a").targets
    assert row.actions_equal + row.ties == row.observations
    assert row.ties <= 0.01 * row.observations
    verify(tmp_path / "a")


@pytest.mark.parametrize(
    ("policy", "change"),
    [
        (BUCKETS, bucket_lost),
        (LARGEST, last_of_equals),
        (CLIPPED, clip_wider),
        (pixels(), pixels_by_256),
    ],
    ids=["a bucket of forty is lost", "the last of equals", "a clip wider by 0.1 %", "pixels by 256"],
)
@pytest.mark.parametrize("target", ["onnx", "weights"])
def test_a_wrong_writer_is_refused(policy, change, target, tmp_path, monkeypatch):
    monkeypatch.setitem(registry.TARGETS, target, faulty(registry.TARGETS[target], change))
    with pytest.raises(ExportError, match="give another answer than the policy"):
        export(policy, tmp_path / "a", [target])
    assert not (tmp_path / "a").exists()


def test_of_equal_choices_under_a_mask_the_first_counts(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.TARGETS, "onnx", faulty(registry.TARGETS["onnx"], last_of_equals))
    with pytest.raises(ExportError, match="give another answer than the policy"):
        export(discrete(), tmp_path / "a", action_mask=True)


def chosen(x):
    """Two numbers by one decision, which only rounding makes where both entries are equal."""
    is_more = jnp.cos(x[0]) > jnp.cos(x[1])
    return jnp.stack([jnp.where(is_more, 1.0, -1.0), jnp.where(is_more, x[0], x[0] * 0.5)])


def or_equal(node, inputs):
    return emit("Le", *inputs) if node.op == "Lt" else None


def or_equal_for_one(node, inputs):
    """Only one of the two numbers is by the other decision."""
    if node.op != "Where" or inputs[1].is_constant:
        return None
    return emit("Where", emit("Le", *inputs[0].node.inputs), *inputs[1:])


def test_an_excuse_is_told_and_excuses_nothing_else_of_its_row(tmp_path, monkeypatch):
    policy = of(box(-1, 1, 2), box(-3, 3, 2), chosen)
    right = registry.TARGETS["onnx"]
    monkeypatch.setitem(registry.TARGETS, "onnx", faulty(right, or_equal))
    report = export(policy, tmp_path / "a")
    (row,) = report.targets
    assert 0 < row.ties <= 0.05 * row.observations
    assert row.max_error <= 1e-5 < row.max_excused
    assert f"onnx: {row.ties} of {row.observations} rows differ (largest error 3.3e-01)" in " ".join(
        str(report).split()
    )
    monkeypatch.setitem(registry.TARGETS, "onnx", faulty(right, or_equal_for_one))
    with pytest.raises(ExportError, match="give another answer than the policy"):
        export(policy, tmp_path / "b")


def test_what_no_row_reaches_is_named(tmp_path):
    (row,) = export(CLIPPED, tmp_path / "a").targets
    assert row.coverage.unreached == ()
    report = export(FAR, tmp_path / "b")
    (row,) = report.targets
    assert row.coverage.sides == row.coverage.reached + 2
    assert [name.rsplit(": ")[-1] for name in row.coverage.unreached] == ["above", "below"]
    assert "Not reached by any row, 2 of " in str(report)


def test_a_liquid_memory_of_an_unbounded_space_is_proven_step_by_step(tmp_path):
    policy = LiquidDeterministicPolicy(Spaces(box(-INF, INF, 3), box(-2, 2, 1)), key=jr.key(0))
    (row,) = export(policy, tmp_path / "a").targets
    assert row.observations > 1000 + 700
