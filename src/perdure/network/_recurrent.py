"""Gated recurrent networks, with weights laid out as PyTorch's `nn.GRUCell` and `nn.LSTMCell` have them."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from perdure._core import make, register

from ._cell import AbstractCell
from ._initialization import Initialization, initial_layers
from ._mlp import Linear


def gates(
    num_gates: int, in_size: int, size: int, initialization: Initialization, key: Key[Array, ""]
) -> tuple[Linear, Linear]:
    """The layers from the input and from the hidden state to all gates, one gate's rows after the other's."""
    if size < 1:
        raise ValueError(f"size={size}, but a recurrent cell needs at least one unit.")
    shapes = ((num_gates * size, in_size), (num_gates * size, size))
    layers = initial_layers(shapes, (1.0, 1.0), initialization=initialization, key=key)
    return Linear(*layers[0]), Linear(*layers[1])


@register
@final
class GRU(AbstractCell):
    """Gated recurrent unit; its output is its state.

        r = sigmoid(W_r x + b_r + U_r h + c_r)
        z = sigmoid(W_z x + b_z + U_z h + c_z)
        n = tanh(W_n x + b_n + r * (U_n h + c_n))
        h' = (1 - z) * n + z * h

    `input` holds W and b, `recurrent` U and c, rows in the order r, z, n: PyTorch's weight_ih, bias_ih, weight_hh, bias_hh.

    Source: Cho et al. 2014, arXiv:1406.1078, with the reset gate after the product, as in cuDNN and PyTorch.
    """

    input: Linear
    recurrent: Linear
    size: int = eqx.field(static=True)

    def __init__(self, in_size: int, size: int, *, initialization: Initialization = "orthogonal", key: Key[Array, ""]):
        self.input, self.recurrent = gates(3, in_size, size, initialization, key)
        self.size = size

    @classmethod
    def of(cls, input: Linear, recurrent: Linear) -> "GRU":
        """One made of these layers."""
        return make(cls, {"input": input, "recurrent": recurrent, "size": recurrent.weight.shape[-1]})

    @property
    def out_size(self) -> int:
        return self.size

    def initial_state(self) -> Float[Array, " size"]:
        return jnp.zeros(self.size)

    def step(
        self, state: Float[Array, " size"], x: Float[Array, " in_size"]
    ) -> tuple[Float[Array, " size"], Float[Array, " size"]]:
        input_r, input_z, input_n = jnp.split(self.input(x), 3)
        recurrent_r, recurrent_z, recurrent_n = jnp.split(self.recurrent(state), 3)
        r, z = jax.nn.sigmoid(input_r + recurrent_r), jax.nn.sigmoid(input_z + recurrent_z)
        n = jnp.tanh(input_n + r * recurrent_n)
        state = (1 - z) * n + z * state
        return state, state


@register
@final
class LSTMState(eqx.Module):
    """What an LSTM remembers."""

    hidden: Float[Array, " size"]
    cell: Float[Array, " size"]


@register
@final
class LSTM(AbstractCell):
    """Long short-term memory; its output is the hidden state.

        i, f, o = sigmoid(W x + b + U h + c), of each gate its own
        g = tanh(W_g x + b_g + U_g h + c_g)
        c' = f * c + i * g
        h' = o * tanh(c')

    `input` holds W and b, `recurrent` U and c, rows in the order i, f, g, o: PyTorch's weight_ih, bias_ih, weight_hh,
    bias_hh.

    Source: Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000, doi:10.1162/089976600300015015.
    """

    input: Linear
    recurrent: Linear
    size: int = eqx.field(static=True)

    def __init__(self, in_size: int, size: int, *, initialization: Initialization = "orthogonal", key: Key[Array, ""]):
        self.input, self.recurrent = gates(4, in_size, size, initialization, key)
        self.size = size

    @classmethod
    def of(cls, input: Linear, recurrent: Linear) -> "LSTM":
        """One made of these layers."""
        return make(cls, {"input": input, "recurrent": recurrent, "size": recurrent.weight.shape[-1]})

    @property
    def out_size(self) -> int:
        return self.size

    def initial_state(self) -> LSTMState:
        return LSTMState(jnp.zeros(self.size), jnp.zeros(self.size))

    def step(self, state: LSTMState, x: Float[Array, " in_size"]) -> tuple[LSTMState, Float[Array, " size"]]:
        i, f, g, o = jnp.split(self.input(x) + self.recurrent(state.hidden), 4)
        cell = jax.nn.sigmoid(f) * state.cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
        return LSTMState(hidden, cell), hidden
