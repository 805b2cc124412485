import jax.numpy as jnp
import numpy as np
import pytest

from perdure._core import describe, rebuild
from perdure.network import Bounded, Celu, Elu, HardShrink, LeakyRelu, SoftShrink, TanhSpread, tanh_shrink

X = jnp.array([-3.0, -0.4, 0.0, 0.4, 3.0])


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (Bounded(), [-1, -0.4, 0, 0.4, 1]),
        (Bounded(-0.2, 2.0), [-0.2, -0.2, 0, 0.4, 2]),
        (LeakyRelu(0.5), [-1.5, -0.2, 0, 0.4, 3]),
        (Elu(2.0), [2 * np.expm1(-3), 2 * np.expm1(-0.4), 0, 0.4, 3]),
        (Celu(2.0), [2 * np.expm1(-1.5), 2 * np.expm1(-0.2), 0, 0.4, 3]),
        (SoftShrink(), [-2.5, 0, 0, 0, 2.5]),
        (HardShrink(), [-3, 0, 0, 0, 3]),
        (tanh_shrink, [-3 + np.tanh(3), -0.4 + np.tanh(0.4), 0, 0.4 - np.tanh(0.4), 3 - np.tanh(3)]),
    ],
)
def test_an_activation_is_what_its_formula_says(activation, expected):
    np.testing.assert_allclose(activation(X), expected, rtol=1e-6, atol=1e-7)


def test_activations_with_numbers_compare_by_value_and_come_back_from_their_description():
    assert Bounded(-2.0, 2.0) == Bounded(-2.0, 2.0) != Bounded()
    activations = (Bounded(-2.0, 2.0), LeakyRelu(0.3), Elu(), Celu(), SoftShrink(0.1), HardShrink(), TanhSpread(-3.0))
    assert rebuild(describe(activations), {}) == activations


def test_spreads_go_through_tanh_into_their_bounds_and_means_stay():
    given = TanhSpread(-5.0, 2.0)(jnp.array([30.0, -0.5, 0.0, 1000.0]))  # -5 + 7/2 (0 + 1) = -1.5
    np.testing.assert_allclose(given, [30.0, -0.5, -1.5, 2.0], rtol=1e-6)
