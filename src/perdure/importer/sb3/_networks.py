"""Layers of a file as networks of ours."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from perdure._core import FileFormatError, make
from perdure.network import LSTM, MLP, AbstractCell, Activation, Linear, Stack

from ._tensors import Layer, Tensors


def mlp(layers: list[Layer], activation: Activation, final_activation: Activation = jax.nn.identity) -> MLP:
    """Raises: FileFormatError if a layer does not take what the one before gives."""
    for before, after in itertools.pairwise(layers):
        if len(before.bias) != after.weight.shape[1]:
            raise FileFormatError(
                f"policy.pth: a layer gives {len(before.bias)} numbers, the next takes {after.weight.shape[1]}."
            )
    linears = tuple(layer.linear() for layer in layers)
    return make(MLP, {"layers": linears, "activation": activation, "final_activation": final_activation})


def stacked(*layers: Layer) -> Layer:
    """One layer that gives what all of these give, one after the other."""
    return Layer(np.concatenate([layer.weight for layer in layers]), np.concatenate([layer.bias for layer in layers]))


def permuted(layer: Layer, rows: np.ndarray) -> Layer:
    return Layer(layer.weight[rows], layer.bias[rows])


def gsde_log_std(log_std: np.ndarray, num_actions: int, expln: bool) -> np.ndarray:
    """The logarithm of gSDE's deviations for each feature and action, where the file may have one column for all.

    With `use_expln` SB3's deviation is exp(x) below zero and log(1 + x) + 1 above.

    Source: stable_baselines3/common/distributions.py, `StateDependentNoiseDistribution.get_std`.
    """
    if log_std.shape[1] not in (1, num_actions):
        raise FileFormatError(f"policy.pth: log_std is {list(log_std.shape)} for {num_actions} actions.")
    if expln:
        above = np.log1p(np.maximum(log_std, 0).astype(np.float64)) + 1
        log_std = np.where(log_std > 0, np.log(above), log_std).astype(np.float32)
    return np.broadcast_to(log_std, (len(log_std), num_actions)).copy()


def lstm(tensors: Tensors, prefix: str, first: np.ndarray | None = None) -> AbstractCell:
    """The LSTM of PyTorch below `prefix`, whose layout ours has; several layers become a stack.

    `first` replaces the weights from the input of the first layer.

    Raises: FileFormatError for projections, or shapes that do not fit.
    """
    cells: list[LSTM] = []
    while f"{prefix}.weight_ih_l{len(cells)}" in tensors:
        i = len(cells)
        weights = [tensors.take(f"{prefix}.weight_{part}_l{i}", 2) for part in ("ih", "hh")]
        biases = [
            tensors.take(name, 1) if (name := f"{prefix}.bias_{part}_l{i}") in tensors else np.zeros(len(weights[0]))
            for part in ("ih", "hh")
        ]
        size = len(weights[0]) // 4
        if weights[1].shape != (4 * size, size) or any(len(bias) != 4 * size for bias in biases):
            raise FileFormatError(
                f"policy.pth: {prefix}.weight_hh_l{i} is {list(weights[1].shape)}, an LSTM of {size} units has "
                f"{[4 * size, size]}. Projections are not read."
            )
        if i == 0 and first is not None:
            weights[0] = first
        linears = [Linear(jnp.asarray(w), jnp.asarray(b, jnp.float32)) for w, b in zip(weights, biases, strict=True)]
        cells.append(make(LSTM, {"input": linears[0], "recurrent": linears[1], "size": size}))
    return cells[0] if len(cells) == 1 else Stack(tuple(cells))


def default_spread(num_features: int, num_actions: int) -> np.ndarray:
    """Where a file's own cannot be held: deviations of one for features of unit size."""
    return np.full((num_features, num_actions), -0.5 * math.log(num_features), np.float32)
