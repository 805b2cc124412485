"""Layers of a file as networks of ours. Shapes, names and the order of gates are PyTorch's."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from perdure._core import FileFormatError, make
from perdure.network import GRU, LSTM, MLP, AbstractCell, Activation, Conv, Linear, Stack

from ._tensors import Layer, Tensors

_KINDS: dict[int, type[LSTM] | type[GRU]] = {4: LSTM, 3: GRU}  # by the number of their gates


def mlp(layers: list[Layer], activation: Activation, final_activation: Activation = jax.nn.identity) -> MLP:
    """Raises: FileFormatError if a layer does not take what the one before gives."""
    for before, after in itertools.pairwise(layers):
        if len(before.bias) != after.weight.shape[1]:
            raise FileFormatError(
                f"a layer gives {len(before.bias)} numbers, the next takes {after.weight.shape[1]}. Are they of one model?"
            )
    linears = tuple(layer.linear() for layer in layers)
    return make(MLP, {"layers": linears, "activation": activation, "final_activation": final_activation})


def stacked(*layers: Layer) -> Layer:
    """One layer that gives what all of these give, one after the other."""
    return Layer(np.concatenate([layer.weight for layer in layers]), np.concatenate([layer.bias for layer in layers]))


def permuted(layer: Layer, rows: np.ndarray) -> Layer:
    return Layer(layer.weight[rows], layer.bias[rows])


def product(first: Layer, second: Layer) -> Layer:
    """Two layers without a function between them as one."""
    weight = second.weight.astype(np.float64)
    return Layer((weight @ first.weight).astype(np.float32), (weight @ first.bias + second.bias).astype(np.float32))


def channels_last(layer: Layer, depth: int, height: int, width: int) -> Layer:
    """A layer on a flattened image with the channels first as one on the same image with the channels last."""
    weight = layer.weight.reshape(-1, depth, height, width).transpose(0, 2, 3, 1)
    return Layer(weight.reshape(layer.weight.shape), layer.bias)


def convolution(tensors: Tensors, name: str, shape: tuple[int, int, int, int], stride: int) -> Conv:
    """`shape` is (out, in, height, width).

    Raises: FileFormatError if it has another.
    """
    weight, bias = tensors.shaped(f"{name}.weight", *shape), tensors.shaped(f"{name}.bias", shape[0])
    return Conv(jnp.asarray(weight), jnp.asarray(bias), stride)


def recurrent_cell(tensors: Tensors, prefix: str, first: np.ndarray | None = None) -> AbstractCell:
    """The LSTM or GRU below `prefix`, whose layout ours has; several layers become a stack.

    `first` replaces the weights from the input of the first layer.

    Raises: FileFormatError for projections, or shapes that do not fit.
    """
    cells: list[LSTM | GRU] = []
    while f"{prefix}.weight_ih_l{len(cells)}" in tensors:
        i = len(cells)
        weights = [tensors.take(f"{prefix}.weight_{part}_l{i}", 2) for part in ("ih", "hh")]
        rows, size = weights[1].shape
        kind = _KINDS.get(rows // size) if size and rows % size == 0 else None
        if kind is None or len(weights[0]) != rows:
            raise FileFormatError(
                f"{tensors.file}: {prefix}.weight_hh_l{i} is {[rows, size]} and weight_ih_l{i} {list(weights[0].shape)}; "
                "an LSTM has four rows for each of its units in both, a GRU three. Projections are not read."
            )
        if i == 0 and first is not None:
            weights[0] = first
        biases = [
            tensors.shaped(name, rows) if (name := f"{prefix}.bias_{part}_l{i}") in tensors else np.zeros(rows)
            for part in ("ih", "hh")
        ]
        linears = [Linear(jnp.asarray(w), jnp.asarray(b, jnp.float32)) for w, b in zip(weights, biases, strict=True)]
        cells.append(make(kind, {"input": linears[0], "recurrent": linears[1], "size": size}))
    if not cells:
        raise FileFormatError(f"{tensors.file} has no tensor '{prefix}.weight_ih_l0', so no LSTM or GRU.")
    return cells[0] if len(cells) == 1 else Stack(tuple(cells))
