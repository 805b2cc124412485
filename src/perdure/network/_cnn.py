"""Convolutional encoders of images."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from perdure._core import make, register

from ._initialization import Initialization, initial_layers
from ._mlp import Activation, Linear


@register
@final
class Conv(eqx.Module):
    """A 2-D convolution without padding, images height-width-channel as environments give them.

    Shapes: `(height, width, in_channels)` to `((height - kernel) // stride + 1, ..., out_channels)`.
    """

    weight: Float[Array, "out_channels in_channels kernel kernel"]
    bias: Float[Array, " out_channels"]
    stride: int = eqx.field(static=True)

    def __call__(self, x: Float[Array, "height width in_channels"]) -> Float[Array, "h w out_channels"]:
        y = jax.lax.conv_general_dilated(
            x[None], self.weight, (self.stride, self.stride), "VALID", dimension_numbers=("NHWC", "OIHW", "NHWC")
        )
        return y[0] + self.bias


def check_convolutions(channels: tuple[int, ...], kernels: tuple[int, ...], strides: tuple[int, ...]) -> None:
    """Raises: ValueError unless there is one of each for every layer, at least one layer, and no zero."""
    if not len(channels) == len(kernels) == len(strides) > 0:
        raise ValueError(
            f"CNN needs as many channels as kernels and strides, and at least one; got {channels}, {kernels}, {strides}."
        )
    if min(*channels, *kernels, *strides) < 1:
        raise ValueError(f"CNN has {channels=}, {kernels=}, {strides=}, but each of them is one or more.")


@register
@final
class CNN(eqx.Module):
    """Convolutions, then one dense layer: an image becomes `features` numbers.

    The default is the network of Mnih et al. 2015, doi:10.1038/nature14236 ("NatureCNN"), for images of 36 x 36 pixels
    and more. Pixels come in scaled to [0, 1]; the policy does that.

    Shapes: `(height, width, channels)` to `(features,)`.
    Raises: ValueError if the image is too small for the convolutions.
    """

    convs: tuple[Conv, ...]
    dense: Linear
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        image_shape: tuple[int, ...],
        features: int = 512,
        *,
        channels: tuple[int, ...] = (32, 64, 64),
        kernels: tuple[int, ...] = (8, 4, 3),
        strides: tuple[int, ...] = (4, 2, 1),
        activation: Activation = jax.nn.relu,
        initialization: Initialization = "orthogonal",
        key: Key[Array, ""],
    ):
        check_convolutions(channels, kernels, strides)
        height, width, depth = image_shape
        shapes: list[tuple[int, ...]] = []
        for out, kernel, stride in zip(channels, kernels, strides, strict=True):
            shapes.append((out, depth, kernel, kernel))
            height, width, depth = (height - kernel) // stride + 1, (width - kernel) // stride + 1, out
            if min(height, width) < 1:
                raise ValueError(
                    f"An image of shape {image_shape} is too small for convolutions with kernels {kernels} and strides "
                    f"{strides}. Use smaller kernels or strides, e.g. kernels=(3, 3), strides=(1, 1), channels=(16, 32)."
                )
        shapes.append((features, height * width * depth))
        layers = initial_layers(tuple(shapes), (2**0.5,) * len(shapes), initialization=initialization, key=key)
        self.convs = tuple(Conv(weight, bias, stride) for (weight, bias), stride in zip(layers, strides, strict=False))
        self.dense = Linear(*layers[-1])
        self.activation = activation

    @classmethod
    def of(cls, convs: tuple[Conv, ...], dense: Linear, activation: Activation = jax.nn.relu) -> "CNN":
        """One made of these layers."""
        return make(cls, {"convs": convs, "dense": dense, "activation": activation})

    @property
    def out_size(self) -> int:
        return self.dense.bias.shape[-1]

    def __call__(self, image: Float[Array, "height width channels"]) -> Float[Array, " features"]:
        x = image
        for conv in self.convs:
            x = self.activation(conv(x))
        return self.activation(self.dense(jnp.ravel(x)))


@register
@final
class ChannelsFirst(eqx.Module):
    """A network on images that come as channel, height, width, as frame stacks for PyTorch do."""

    network: CNN

    @property
    def out_size(self) -> int:
        return self.network.out_size

    def __call__(self, image: Float[Array, "channels height width"]) -> Float[Array, " features"]:
        return self.network(jnp.moveaxis(image, 0, -1))
