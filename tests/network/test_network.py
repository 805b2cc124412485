"""Layers: values by hand, initialisation, errors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.network import CNN, MLP, ChannelsFirst, Linear, fold_biases


def test_linear_is_weight_times_x_plus_bias():
    layer = Linear(jnp.array([[1.0, 2.0], [3.0, 4.0], [0.0, -1.0]]), jnp.array([10.0, 20.0, 30.0]))
    assert layer(jnp.array([1.0, 1.0])).tolist() == [13.0, 27.0, 29.0]


@pytest.mark.parametrize("hidden_sizes", [(), (7,), (5, 3, 8)])
def test_mlp_applies_its_layers_in_order(hidden_sizes):
    mlp = MLP(4, 2, hidden_sizes, jax.nn.relu, final_activation=jnp.tanh, key=jr.key(0))
    x = np.arange(4.0)
    expected = x
    for i, layer in enumerate(mlp.layers):
        expected = np.asarray(layer.weight) @ expected + np.asarray(layer.bias)
        expected = np.tanh(expected) if i == len(hidden_sizes) else np.maximum(expected, 0)
    np.testing.assert_allclose(mlp(jnp.asarray(x, jnp.float32)), expected, rtol=1e-5)


def test_folded_biases_change_neither_values_nor_gradients():
    mlp, x = MLP(4, 2, (7, 5), key=jr.key(0)), jr.normal(jr.key(1), (6, 4))

    def loss(mlp, prepare):
        return (jax.vmap(prepare(mlp))(x) ** 2).sum()

    plain, folded = (eqx.filter_value_and_grad(loss)(mlp, prepare) for prepare in (lambda m: m, fold_biases))
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(folded), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert not any(isinstance(layer, Linear) for layer in fold_biases(mlp).layers)


@pytest.mark.parametrize("shape", [(64, 4), (4, 64), (32, 32)])
def test_orthogonal_weights_are_orthonormal_times_gain(shape):
    out_size, in_size = shape
    weight = np.asarray(MLP(in_size, out_size, (), final_gain=3.0, key=jr.key(1)).layers[0].weight)
    gram = weight @ weight.T if out_size <= in_size else weight.T @ weight
    np.testing.assert_allclose(gram, 9 * np.eye(min(shape)), atol=1e-4)


def test_uniform_weights_lie_within_the_fan_in_bound_and_fill_it():
    layer = MLP(16, 500, (), initialization="uniform", key=jr.key(2)).layers[0]
    for numbers in (layer.weight, layer.bias):
        assert jnp.abs(numbers).max() <= 0.25
        assert jnp.abs(numbers).max() > 0.24
        assert abs(float(numbers.mean())) < 0.02


def test_initialisation_depends_on_the_key_alone():
    def weights(seed):
        return jax.tree.leaves(eqx.filter(MLP(4, 2, key=jr.key(seed)), eqx.is_array))

    assert all((a == b).all() for a, b in zip(weights(0), weights(0), strict=True))
    assert not any((a == b).all() for a, b in zip(weights(0)[:1], weights(1)[:1], strict=True))


def test_empty_layers_are_refused():
    with pytest.raises(ValueError, match=r"hidden_sizes\[1\] = 0"):
        MLP(4, 2, (3, 0), key=jr.key(0))


def test_nature_cnn_has_the_shapes_of_the_paper():
    cnn = CNN((84, 84, 4), key=jr.key(0))
    assert [conv.weight.shape for conv in cnn.convs] == [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3)]
    assert cnn.dense.weight.shape == (512, 7 * 7 * 64)
    assert cnn(jnp.ones((84, 84, 4))).shape == (512,)


def test_convolution_by_hand():
    """A 2 x 2 kernel of ones on a 3 x 3 image sums each window; height comes first."""
    cnn = CNN((3, 3, 1), 2, channels=(1,), kernels=(2,), strides=(1,), activation=jax.nn.identity, key=jr.key(0))
    conv = eqx.tree_at(lambda c: (c.weight, c.bias), cnn.convs[0], (jnp.ones((1, 1, 2, 2)), jnp.array([0.5])))
    image = jnp.arange(9.0).reshape(3, 3, 1)
    assert conv(image)[..., 0].tolist() == [[8.5, 12.5], [20.5, 24.5]]


def test_an_image_too_small_for_the_convolutions_is_refused():
    with pytest.raises(ValueError, match="too small for convolutions"):
        CNN((16, 16, 3), key=jr.key(0))


def test_a_network_takes_images_that_come_channel_first():
    network = CNN((9, 8, 2), 5, channels=(3,), kernels=(3,), strides=(2,), key=jr.key(0))
    image = jr.uniform(jr.key(1), (9, 8, 2))
    np.testing.assert_array_equal(ChannelsFirst(network)(jnp.moveaxis(image, -1, 0)), network(image))
    assert ChannelsFirst(network).out_size == 5
