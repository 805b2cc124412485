"""GRU and LSTM against their equations in numpy, gate by gate in PyTorch's order."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.network import GRU, LSTM, LSTMState, Parallel, Stack

IN, SIZE = 3, 5


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def random_cell(cls):
    """A cell with biases that are not zero, and its weights in numpy as PyTorch names them."""
    cell = cls(IN, SIZE, key=jr.key(0))
    leaves, structure = jax.tree.flatten(eqx.filter(cell, eqx.is_array))
    keys = jr.split(jr.key(1), len(leaves))
    cell = eqx.combine(
        jax.tree.unflatten(structure, [jr.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]), cell
    )
    named = {
        "weight_ih": cell.input.weight,
        "bias_ih": cell.input.bias,
        "weight_hh": cell.recurrent.weight,
        "bias_hh": cell.recurrent.bias,
    }
    return cell, {name: np.asarray(x, np.float64) for name, x in named.items()}


def gate(w, index, x, h):
    """The two sums of one gate: from the input and from the hidden state."""
    rows = slice(index * SIZE, (index + 1) * SIZE)
    return w["weight_ih"][rows] @ x + w["bias_ih"][rows], w["weight_hh"][rows] @ h + w["bias_hh"][rows]


def test_gru_is_pytorchs_equations_with_gates_in_the_order_r_z_n():
    cell, w = random_cell(GRU)
    state, h = cell.initial_state(), np.zeros(SIZE)
    for x in np.random.default_rng(0).standard_normal((4, IN)).astype(np.float32):
        r, z = sigmoid(sum(gate(w, 0, x, h))), sigmoid(sum(gate(w, 1, x, h)))
        from_input, from_hidden = gate(w, 2, x, h)
        h = (1 - z) * np.tanh(from_input + r * from_hidden) + z * h
        state, y = cell.step(state, jnp.asarray(x))
        np.testing.assert_allclose(y, h, atol=1e-5)
        np.testing.assert_array_equal(state, y)


def test_lstm_is_pytorchs_equations_with_gates_in_the_order_i_f_g_o():
    cell, w = random_cell(LSTM)
    state, h, c = cell.initial_state(), np.zeros(SIZE), np.zeros(SIZE)
    for x in np.random.default_rng(0).standard_normal((4, IN)).astype(np.float32):
        i, f, g, o = (sum(gate(w, k, x, h)) for k in range(4))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        state, y = cell.step(state, jnp.asarray(x))
        np.testing.assert_allclose(y, h, atol=1e-5)
        np.testing.assert_allclose(state.cell, c, atol=1e-5)
        assert isinstance(state, LSTMState)


@pytest.mark.parametrize("cls", [GRU, LSTM])
def test_pytorchs_own_cell_gives_the_same_where_it_is_installed(cls):
    torch = pytest.importorskip("torch", reason="compares with PyTorch itself")
    cell, w = random_cell(cls)
    theirs = getattr(torch.nn, f"{cls.__name__}Cell")(IN, SIZE)
    theirs.load_state_dict({name: torch.tensor(x, dtype=torch.float32) for name, x in w.items()})
    x, h = np.random.default_rng(1).standard_normal((2, SIZE)).astype(np.float32)
    state = LSTMState(jnp.asarray(h), jnp.asarray(-h)) if cls is LSTM else jnp.asarray(h)
    with torch.no_grad():
        hidden = (torch.tensor(h)[None], torch.tensor(-h)[None]) if cls is LSTM else torch.tensor(h)[None]
        want = theirs(torch.tensor(x[:IN])[None], hidden)
    want = want[0] if cls is LSTM else want
    np.testing.assert_allclose(cell.step(state, jnp.asarray(x[:IN]))[1], want[0].numpy(), atol=1e-6)


def test_parallel_cells_see_the_same_input_and_keep_their_own_state():
    one, two = GRU(IN, 2, key=jr.key(0)), LSTM(IN, 3, key=jr.key(1))
    both, x = Parallel((one, two)), jnp.array([1.0, -1.0, 0.5])
    state, y = both.step(both.initial_state(), x)
    assert both.out_size == 5
    expected = jnp.concatenate([one.step(one.initial_state(), x)[1], two.step(two.initial_state(), x)[1]])
    np.testing.assert_array_equal(y, expected)
    assert isinstance(state[1], LSTMState)


def test_a_cell_without_units_is_refused():
    with pytest.raises(ValueError, match="size=0"):
        GRU(IN, 0, key=jr.key(0))


def test_a_stack_feeds_each_cell_with_what_the_one_before_gives():
    first, second = LSTM(3, 4, key=jr.key(0)), LSTM(4, 2, key=jr.key(1))
    stack, x = Stack((first, second)), jnp.array([1.0, -2.0, 0.5])
    state, y = stack.step(stack.initial_state(), x)
    one, hidden = first.step(first.initial_state(), x)
    two, expected = second.step(second.initial_state(), hidden)
    np.testing.assert_array_equal(y, expected)
    assert bool(eqx.tree_equal(state, (one, two)))
    assert stack.out_size == 2
