"""Activations by the words of configurations; classes and functions by their dotted names are in the tests of models."""

import jax.numpy as jnp
import numpy as np
import pytest

from perdure.importer import activation_named

X = np.linspace(-3, 3, 13).astype(np.float32)


@pytest.mark.parametrize(
    "word", ["ELU", "elu", "tanh", "leaky_relu", "LeakyReLU", "silu", "gelu", "softplus", "selu", "mish"]
)
def test_a_word_means_the_class_of_torch(word):
    torch = pytest.importorskip("torch", reason="the answers are its own")
    classes = {name.lower(): cls for name, cls in vars(torch.nn).items() if isinstance(cls, type)}
    expected = classes[word.lower().replace("_", "")]()(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(activation_named(word)(jnp.asarray(X)), expected, atol=1e-6)


def test_swish_is_silu_and_what_is_not_known_is_told_with_what_is():
    assert activation_named("swish") is activation_named("SiLU")
    with pytest.raises(ValueError, match=r"activation='crelu' is not known\. Known: celu, elu"):
        activation_named("crelu")
