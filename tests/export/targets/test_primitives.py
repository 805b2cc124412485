"""Each group of primitives in each runtime against JAX: the same cases as for onnxruntime, with and without NaN."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from perdure._core import ExportError
from perdure.export.guard import add_nan_guard
from perdure.graph import interpret, simplify
from tests.support.export.backends import BACKENDS, run_tflite, tflite_lacks
from tests.support.export.comparison import F, answers, graph_of, run_onnx, sample, worst_error
from tests.support.export.in_process import installed_targets
from tests.support.export.primitives import (
    BINARY,
    CONTROL,
    IMAGE,
    IMAGES,
    INDEX,
    MATRIX,
    PAIR,
    PRODUCT,
    REDUCTION,
    SHAPE,
    UNARY,
    VECTOR,
    named,
)

TFLITE = {"tflite": run_tflite} if "tflite" in installed_targets() else {}


def check(function, inputs, tolerance=1e-5):
    """The guarded graph: against JAX on numbers, against the numpy reference on NaN and infinities."""
    plain = simplify(graph_of(function, inputs))
    guarded = simplify(add_nan_guard(plain, [name for name, _ in plain.outputs]))
    arrays = sample(inputs, 7)
    broken = [x.copy() for x in arrays]
    for x in broken:
        if x.dtype.kind == "f":
            x.reshape(len(x), -1)[::3, 0], x.reshape(len(x), -1)[1::3, -1] = np.nan, np.inf
    want = answers(function, arrays)
    both = {name: np.concatenate([x, y]) for name, x, y in zip(inputs, arrays, broken, strict=True)}
    reference = interpret(guarded, dict(zip(inputs, broken, strict=True)))
    for name, run in BACKENDS.items():
        if name == "tflite" and tflite_lacks(guarded):
            with pytest.raises(ExportError, match=r"TFLite has no|LiteRT on a CPU runs no"):
                run(guarded, both)
            continue
        got = run(guarded, both)
        assert worst_error([y[:7] for y in got], want) <= tolerance, name
        assert worst_error([y[7:] for y in got], reference.values()) <= 1e-4, name


CASES = [(UNARY, VECTOR), (BINARY, PAIR), (SHAPE, MATRIX), (REDUCTION, MATRIX), (INDEX, MATRIX), (PRODUCT, MATRIX)]
CASES += [(IMAGES, IMAGE), (CONTROL, VECTOR)]


@pytest.mark.parametrize(
    ("function", "inputs"),
    [pytest.param(*case.values, inputs, id=case.id) for group, inputs in CASES for case in named(group)],
)
def test_primitives_elsewhere(function, inputs):
    check(function, inputs, 2e-5)


@pytest.mark.parametrize(
    "function",
    [
        lambda k: (k // 2, k % 2, -k, k * k, jnp.abs(k - 1)),
        lambda k: (k.astype(F) / 3, (k > 1).astype(np.int8), k.astype(bool)),
        lambda k: (lax.div(k - 2, k + 1), lax.rem(k - 2, k + 1)),
        lambda k: (k.max(), k.sum(), k.argmax(), jnp.sort(k)),
        lambda k: (k + 2147483647) * 65537 - lax.div(k - 2147483647 - 1, -1 - 0 * k),  # wraps around
    ],
)
def test_integers_elsewhere(function):
    check(function, {"k": ((4,), np.int32)})


def test_bytes_wrap_and_floats_saturate_elsewhere():
    check(lambda k: (k + k, k * k, k - 200), {"k": ((5,), np.uint8)})
    check(lambda x: ((x * 100).astype(jnp.int8), (x * 3e9).astype(jnp.int32)), VECTOR)


@pytest.mark.parametrize("to", ["int32", "int8", "uint8"])
def test_a_float_becomes_the_nearest_integer_and_nan_0(to):
    """Everywhere as in JAX, also past the ends of the integer."""
    edges = [
        np.nan,
        np.inf,
        -np.inf,
        3e9,
        -3e9,
        2.0**31,
        -(2.0**31),
        2147483520.0,
        300.0,
        -300.0,
        127.5,
        -1.9,
        0.7,
        255.9,
    ]
    row, specs = np.array([edges], F), {"x": ((len(edges),), np.float32)}
    graph = simplify(graph_of(lambda x: x.astype(to).astype(np.int32), specs))
    want = answers(lambda x: x.astype(to).astype(np.int32), [row])
    for name, run in (BACKENDS | {"onnx": run_onnx} | TFLITE).items():
        np.testing.assert_array_equal(run(graph, {"x": row})[0], want[0], err_msg=name)


@pytest.mark.parametrize("function", [jnp.log1p, jnp.expm1], ids=["log1p", "expm1"])
def test_small_numbers_keep_their_digits(function):
    """log1p(1e-6) is 1e-6, not what 1 + 1e-6 leaves of it; and the ends are those of JAX."""
    edges = [
        1e-10,
        -1e-10,
        1e-7,
        1e-6,
        -1e-6,
        1e-3,
        -1e-3,
        0.1,
        0.49,
        0.51,
        -0.9,
        -1.0,
        3.0,
        50.0,
        100.0,
        0.0,
        np.inf,
        np.nan,
    ]
    row, specs = np.array([edges], F), {"x": ((len(edges),), np.float32)}
    graph, want = simplify(graph_of(function, specs)), answers(function, [row])
    for name, run in (BACKENDS | {"onnx": run_onnx} | TFLITE).items():
        np.testing.assert_allclose(run(graph, {"x": row})[0], want[0], rtol=1e-5, err_msg=name)


def test_atan2_knows_the_sign_of_a_zero():
    """atan2(0, -0) is pi and atan2(-0, -1) is -pi, as in JAX."""
    values = np.array([0.0, -0.0, 1.0, -1.0, 2.5, np.inf, -np.inf], F)
    y, x = (grid.reshape(1, -1) for grid in np.meshgrid(values, values))
    is_defined = ~(np.isinf(x) & np.isinf(y))  # infinity by infinity is NaN
    y, x = y[is_defined][None], x[is_defined][None]
    specs = {name: (y.shape[1:], np.float32) for name in ("y", "x")}
    graph, want = simplify(graph_of(jnp.arctan2, specs)), answers(jnp.arctan2, [y, x])
    for name, run in (BACKENDS | {"onnx": run_onnx}).items():
        np.testing.assert_allclose(run(graph, {"y": y, "x": x})[0], want[0], atol=1e-6, err_msg=name)
