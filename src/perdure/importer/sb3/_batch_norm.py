"""CrossQ's batch renormalisation, as it acts after training, folded into the layers that follow it.

    (x - ra_mean) / sqrt(ra_var + epsilon) * scale + bias

Source: sb3_contrib/common/torch_layers.py, `BatchRenorm`; Bhatt et al. 2024, arXiv:1902.05605.
"""

from collections.abc import Callable

import numpy as np

from perdure._core import FileFormatError

from ._tensors import Layer, Tensors

Fold = Callable[[Layer], Layer]  # a layer behind the normalisation -> the same one without it


def _fold(tensors: Tensors, name: str, epsilon: float) -> Fold:
    mean, variance, scale, bias = (
        tensors.take(f"{name}.{part}", 1).astype(np.float64) for part in ("ra_mean", "ra_var", "scale", "bias")
    )
    tensors.below(f"{name}.steps")
    factor = scale / np.sqrt(variance + epsilon)
    shift = bias - mean * factor

    def fold(layer: Layer) -> Layer:
        weight = layer.weight.astype(np.float64)
        if weight.shape[1] != len(factor):
            raise FileFormatError(f"policy.pth: {name} normalises {len(factor)} numbers, not {weight.shape[1]}.")
        return Layer((weight * factor).astype(np.float32), (layer.bias + weight @ shift).astype(np.float32))

    return fold


def folded_layers(tensors: Tensors, prefix: str, epsilon: float) -> tuple[list[Layer], Fold | None]:
    """The layers of a Sequential (normalisation, linear, activation, ..., normalisation), folded; and the last fold.

    Without normalisation (`batch_norm=False`) they are what they are.

    Raises: FileFormatError if other layers are among them.
    """
    if not any(f"{prefix}.{i}.ra_mean" in tensors for i in (0, 1)):
        return tensors.layers(prefix), None
    layers: list[Layer] = []
    at = 0
    while f"{prefix}.{at + 1}.weight" in tensors:
        layers.append(_fold(tensors, f"{prefix}.{at}", epsilon)(tensors.layer(f"{prefix}.{at + 1}")))
        at += 3
    return layers, _fold(tensors, f"{prefix}.{at}", epsilon)
