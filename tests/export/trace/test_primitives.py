"""Each group of primitives, in the numpy reference and in onnxruntime, against JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests.support.export.comparison import F, check
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


@pytest.mark.parametrize("function", named(UNARY))
def test_functions_of_one_array(function):
    check(function, VECTOR, 2e-5)


@pytest.mark.parametrize("function", named(BINARY))
def test_functions_of_two_arrays(function):
    check(function, PAIR)


@pytest.mark.parametrize("function", named(SHAPE))
def test_shapes(function):
    check(function, MATRIX)


@pytest.mark.parametrize("function", named(REDUCTION))
def test_reductions_and_order(function):
    check(function, MATRIX)


@pytest.mark.parametrize("function", named(INDEX))
def test_indexing(function):
    check(function, MATRIX)


@pytest.mark.parametrize("function", named(PRODUCT))
def test_products(function):
    check(function, MATRIX)


@pytest.mark.parametrize("function", named(IMAGES))
def test_images(function):
    check(function, IMAGE)


@pytest.mark.parametrize("function", named(CONTROL))
def test_control_flow(function):
    check(function, VECTOR)


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda k: (k // 2, k % 2, -k, k * k, jnp.abs(k - 1)), id="arithmetic"),
        pytest.param(lambda k: jax.nn.one_hot(k, 3), id="one hot"),
        pytest.param(lambda k: (k.astype(F) / 3, (k > 1).astype(np.int8), k.astype(bool)), id="casts"),
        pytest.param(lambda k: (lax.div(k - 2, k + 1), lax.rem(k - 2, k + 1)), id="division"),
        pytest.param(lambda k: (k.max(), k.sum(), k.argmax(), jnp.sort(k)), id="reductions"),
    ],
)
def test_integers(function):
    check(function, {"k": ((4,), np.int32)})


def test_images_of_bytes_become_floats():
    check(lambda x: jnp.mean(x.astype(F) / 255.0, (0, 1)), {"x": ((4, 4, 2), np.uint8)})


def test_a_float_saturates_when_it_becomes_a_byte_and_truncates_when_it_becomes_an_integer():
    check(lambda x: ((x * 100).astype(jnp.int8), (x * 100).astype(jnp.int32)), VECTOR)
    check(lambda x: (x * 100).astype(jnp.uint8), VECTOR, guarded=False)  # unsigned has no number for "lost"
