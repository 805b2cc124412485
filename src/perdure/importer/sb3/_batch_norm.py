"""CrossQ's batch renormalisation, as it acts after training: its parts go where ours has a place for them.

    (x - ra_mean) / sqrt(ra_var + epsilon) * scale + bias

All of it is folded into the layer that follows, but for the first, whose mean may be large beside its deviation: that one
becomes the policy's normaliser, where there is none yet.

Source: sb3_contrib/common/torch_layers.py, `BatchRenorm`; Bhatt et al. 2024, arXiv:1902.05605.
"""

from typing import NamedTuple

import numpy as np

from perdure._core import FileFormatError

from .._tensors import Layer, Tensors


class BatchNorm(NamedTuple):
    """In float64."""

    mean: np.ndarray
    deviation: np.ndarray
    scale: np.ndarray
    bias: np.ndarray

    def without_statistics(self) -> "BatchNorm":
        """What is left to do on numbers that are normalised already."""
        return BatchNorm(np.zeros_like(self.mean), np.ones_like(self.deviation), self.scale, self.bias)

    def fold(self, layer: Layer) -> Layer:
        """The layer behind this as one without it.

        Raises: FileFormatError if it takes another number of numbers.
        """
        weight, factor = layer.weight.astype(np.float64), self.scale / self.deviation
        if weight.shape[1] != len(factor):
            raise FileFormatError(f"policy.pth: {len(factor)} numbers are normalised, {weight.shape[1]} taken.")
        bias = layer.bias + weight @ (self.bias - self.mean * factor)
        return Layer((weight * factor).astype(np.float32), bias.astype(np.float32))


def batch_norm(tensors: Tensors, name: str, epsilon: float) -> BatchNorm:
    size = len(tensors.take(f"{name}.ra_mean", 1))
    mean, variance, scale, bias = (
        tensors.shaped(f"{name}.{part}", size).astype(np.float64) for part in ("ra_mean", "ra_var", "scale", "bias")
    )
    tensors.below(f"{name}.steps")  # how long it was trained
    return BatchNorm(mean, np.sqrt(variance + epsilon), scale, bias)


def normalized_layers(tensors: Tensors, prefix: str, epsilon: float) -> tuple[list[Layer], list[BatchNorm]]:
    """The linear layers of a Sequential (normalisation, linear, activation, ..., normalisation), and what is before each.

    The last normalisation has no layer here; without any (`batch_norm=False`) there are none.
    """
    if not any(f"{prefix}.{i}.ra_mean" in tensors for i in (0, 1)):
        return tensors.layers(prefix), []
    layers: list[Layer] = []
    while f"{prefix}.{3 * len(layers) + 1}.weight" in tensors:
        layers.append(tensors.layer(f"{prefix}.{3 * len(layers) + 1}"))
    return layers, [batch_norm(tensors, f"{prefix}.{3 * i}", epsilon) for i in range(len(layers) + 1)]
