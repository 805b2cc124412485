"""Layers of PyTorch as networks of ours: the same numbers come out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perdure._core import FileFormatError
from perdure.importer import Layer, Tensors, channels_last, convolution, mlp, recurrent_cell
from perdure.importer._layers import product
from perdure.network import GRU, LSTM, Stack

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def tensors_of(module):
    return Tensors({f"net.{name}": x.numpy() for name, x in module.state_dict().items()}, "weights")


@pytest.mark.parametrize(("kind", "ours"), [("LSTM", LSTM), ("GRU", GRU)])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_a_recurrent_network_gives_what_torch_gives_over_a_sequence(kind, ours, num_layers, bias):
    torch = pytest.importorskip("torch", reason="the answers are its own")
    module = getattr(torch.nn, kind)(3, 5, num_layers, bias=bias)
    cell = recurrent_cell(tensors_of(module), "net")
    assert isinstance(cell, ours if num_layers == 1 else Stack)
    sequence, state, outputs = normal(6, 3), cell.initial_state(), []
    for x in jnp.asarray(sequence):
        state, output = cell.step(state, x)
        outputs.append(output)
    with torch.no_grad():
        expected = module(torch.from_numpy(sequence))[0].numpy()
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_a_recurrent_network_of_another_kind_is_refused():
    projected = {
        "net.weight_ih_l0": normal(20, 3),
        "net.weight_hh_l0": normal(20, 2),
    }  # 5 units, of which 2 numbers are made
    with pytest.raises(FileFormatError, match=r"weights: net\.weight_hh_l0 is \[20, 2\].*Projections are not read"):
        recurrent_cell(Tensors(projected, "weights"), "net")
    plain = {"net.weight_ih_l0": normal(5, 3), "net.weight_hh_l0": normal(5, 5)}
    with pytest.raises(FileFormatError, match="four rows for each of its units"):
        recurrent_cell(Tensors(plain, "weights"), "net")
    with pytest.raises(FileFormatError, match=r"no tensor 'net\.weight_ih_l0'"):
        recurrent_cell(Tensors({}, "weights"), "net")


def test_convolutions_and_the_layer_behind_them_give_what_torch_gives():
    torch = pytest.importorskip("torch", reason="the answers are its own")
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3, 2), torch.nn.Flatten(), torch.nn.Linear(4 * 2 * 3, 5))
    tensors, image = tensors_of(module), normal(2, 6, 7)
    conv = convolution(tensors, "net.0", (4, 2, 3, 3), stride=2)
    dense = channels_last(tensors.layer("net.2"), 4, 2, 3).linear()
    with torch.no_grad():
        expected = module(torch.from_numpy(image)[None])[0].numpy()
    np.testing.assert_allclose(dense(conv(jnp.asarray(image.transpose(1, 2, 0))).ravel()), expected, atol=1e-5)
    with pytest.raises(
        FileFormatError, match=r"'net\.0\.weight' is \[4, 2, 3, 3\], the sizes beside it ask for \[4, 2, 5, 5\]"
    ):
        convolution(tensors, "net.0", (4, 2, 5, 5), stride=2)


def test_two_layers_without_a_function_between_them_are_one():
    first, second, x = Layer(normal(4, 3), normal(4)), Layer(normal(2, 4), normal(2)), normal(3)
    expected = second.weight @ (first.weight @ x + first.bias) + second.bias
    np.testing.assert_allclose(product(first, second).linear()(jnp.asarray(x)), expected, rtol=1e-5)


def test_layers_of_two_models_are_no_network():
    layers = [Layer(normal(4, 3), normal(4)), Layer(normal(2, 5), normal(2))]
    with pytest.raises(FileFormatError, match="gives 4 numbers, the next takes 5"):
        mlp(layers, jax.nn.relu)
