"""CfC cells against their equation in numpy, and what a neural circuit policy promises of its wiring."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure._core import split_trainable
from perdure.network import CfC, LayerSizes, Liquid, MaskedLinear, wire

SIZES = LayerSizes(sensory=5, inter=12, command=8, motor=3)
SEEDS = range(8)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_masked_weights_take_no_part_and_are_never_moved():
    present = jnp.array([[True, False, True], [False, True, True]])
    layer = MaskedLinear(present, key=jr.key(0))
    assert (layer.weight == 0).tolist() == (~present).tolist()
    full = eqx.tree_at(lambda m: m.weight, layer, jnp.array([[1.0, 20.0, 3.0], [40.0, 5.0, 6.0]]))
    np.testing.assert_allclose(full(jnp.ones(3)), np.array([4.0, 11.0]) + np.asarray(layer.bias), rtol=1e-6)
    gradient = jax.grad(lambda w: eqx.tree_at(lambda m: m.weight, full, w)(jnp.ones(3)).sum())(full.weight)
    assert gradient.tolist() == present.astype(float).tolist()


def test_weights_begin_within_the_bound_of_the_inputs_that_exist():
    present = jnp.arange(100)[None] < jnp.array([[4], [25], [100]])
    weight = np.abs(np.asarray(MaskedLinear(present, key=jr.key(0)).weight)).max(1)
    bound = np.array([1 / 2, 1 / 5, 1 / 10])
    assert (weight <= bound).all()
    assert (weight > 0.5 * bound).all()


def test_cfc_is_its_equation():
    """Eq. 10 of the paper at t = 1, and the output with its own linear term."""
    cell = CfC(jnp.array([[True, False], [True, True], [False, True]]), key=jr.key(3))
    weight, bias = np.asarray(cell.layer.weight, np.float64), np.asarray(cell.layer.bias, np.float64)
    state, h = cell.initial_state(), np.zeros(3)
    for x in np.random.default_rng(0).standard_normal((5, 2)).astype(np.float32):
        g, h_, f, p = np.split(weight @ np.concatenate([x, h]) + bias, 4)
        h = sigmoid(-f) * np.tanh(g) + (1 - sigmoid(-f)) * np.tanh(h_)
        state, y = cell.step(state, jnp.asarray(x))
        np.testing.assert_allclose(state, h, atol=1e-5)
        np.testing.assert_allclose(y, p + h, atol=1e-5)


def test_a_liquid_network_is_its_three_layers_one_after_the_other():
    network, x = Liquid(5, 20, 3, key=jr.key(0)), jnp.linspace(-1, 1, 5)
    before = jr.normal(jr.key(1), (23,))
    after, y = network.step(before, x)
    inter, x = network.inter.step(before[:12], x)
    command, x = network.command.step(before[12:20], x)
    motor, x = network.motor.step(before[20:], x)
    np.testing.assert_array_equal(after, jnp.concatenate([inter, command, motor]))
    np.testing.assert_array_equal(y, x)
    assert network.initial_state().shape == (23,)


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
def test_the_wiring_has_its_fan_out_and_leaves_no_neuron_alone(sparsity):
    for seed in SEEDS:
        masks = [np.asarray(m) for m in wire(SIZES, sparsity, key=jr.key(seed))]
        inter, command, motor = masks
        assert [m.shape for m in masks] == [(12, 5), (8, 12), (3, 8)]
        for mask in masks:
            assert mask.any(0).all()  # every neuron is heard
            assert mask.any(1).all()  # every neuron hears
        assert (inter.sum(0) >= max(int(12 * (1 - sparsity)), 1)).all()
        assert (command.sum(0) >= max(int(8 * (1 - sparsity)), 1)).all()
        assert (motor.sum(1) >= max(int(8 * (1 - sparsity)), 1)).all()
        if sparsity == 0.9:  # hardly more than it takes to leave none alone
            assert inter.sum() <= 5 + 12
            assert command.sum() <= 12 + 8


def test_a_fan_of_half_is_exact_where_nobody_is_left_alone():
    inter = np.asarray(wire(LayerSizes(50, 10, 4, 1), 0.5, key=jr.key(0)).inter)
    assert (inter.sum(0) == 5).all()
    assert abs(inter.sum(1) - 25).max() < 15  # drawn evenly: four standard deviations of 3.5


def test_the_wiring_depends_on_the_key_alone():
    one, same, other = (wire(SIZES, 0.5, key=jr.key(seed)) for seed in (0, 0, 1))
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


def test_no_input_reaches_a_motor_neuron_before_passing_inter_and_command_neurons():
    """Cut the command neurons off from the inter neurons: nothing that is sensed arrives."""
    network = Liquid(5, 20, 3, key=jr.key(0))
    cut = eqx.tree_at(
        lambda n: n.command.layer.mask.present, network, network.command.layer.mask.present.at[:, :12].set(False)
    )
    state = jr.normal(jr.key(1), (23,))
    reach = jax.jacobian(lambda x, network: network.step(state, x)[1])
    assert (reach(jnp.ones(5), cut) == 0).all()
    assert (reach(jnp.ones(5), network) != 0).any()


def test_masks_are_not_trained():
    trained = jax.tree_util.tree_flatten_with_path(split_trainable(Liquid(5, 20, 3, key=jr.key(0)))[0])[0]
    assert {jax.tree_util.keystr(path) for path, _ in trained} == {
        f".{layer}.layer.{part}" for layer in ("inter", "command", "motor") for part in ("weight", "bias")
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [((5, 1, 3), "1 neurons"), ((5, 20, 0), "0 motor neurons"), ((0, 20, 1), "0 inputs")],
)
def test_a_circuit_without_one_of_its_layers_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Liquid(*settings, key=jr.key(0))


def test_a_sparsity_that_is_no_share_is_refused():
    with pytest.raises(ValueError, match=r"sparsity=1\.5"):
        Liquid(5, 20, 3, sparsity=1.5, key=jr.key(0))
