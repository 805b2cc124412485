"""From observations to features: images and numbers together, the order of parts, what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.policy import (
    Architecture,
    Body,
    CNNActorCriticPolicy,
    Convolutions,
    RecurrentCell,
    RecurrentQPolicy,
    features,
)
from perdure.space import Box, Discrete, Tuple
from tests.support.policy_kinds import IMAGE, MIXED, Spaces

SMALL = Convolutions(features=8, channels=(4,), kernels=(3,), strides=(2,))
ARCHITECTURE = Architecture(convolutions=SMALL, normalize_observation=True)


def test_numbers_come_first_and_each_image_passes_its_own_convolutions():
    """Keys in sorted order: camera, gear, speed, wrist. Flat: gear one-hot, speed; then camera's, then wrist's features."""
    body = Body(MIXED, ARCHITECTURE, key=jr.key(0))
    statistics = (jnp.arange(5.0), jnp.arange(1.0, 6.0))
    body = eqx.tree_at(lambda b: (b.normalizer.mean, b.normalizer.variance), body, statistics)
    observation = MIXED.sample(key=jr.key(1)) | {"gear": jnp.array(1, jnp.int32), "speed": jnp.array([0.5, -2.0])}
    numbers = (np.array([0, 0, 1, 0.5, -2.0]) - np.arange(5)) / np.sqrt(np.arange(1, 6))
    camera = body.cnns[0](observation["camera"] / 255.0)
    wrist = body.cnns[1](observation["wrist"] / 255.0)
    state, x = body(None, observation)
    assert state is None
    np.testing.assert_allclose(x, np.concatenate([numbers, camera, wrist]), atol=1e-5)
    assert x.shape == (body.size,) == (5 + 8 + 8,)


def test_without_convolutions_pixels_are_flattened_in_the_order_of_the_keys():
    body = Body(MIXED, Architecture(), key=jr.key(0))
    observation = MIXED.sample(key=jr.key(1))
    np.testing.assert_array_equal(body(None, observation)[1], features(MIXED, observation))


def test_the_trunk_stands_where_the_parts_meet_and_the_cell_after_it():
    architecture = Architecture(convolutions=SMALL, trunk_sizes=(7, 6), cell=RecurrentCell("gru", 5))
    body = Body(Tuple((IMAGE, Discrete(3))), architecture, key=jr.key(0))
    assert [layer.weight.shape for layer in body.trunk.layers] == [(7, 3 + 8), (6, 7)]
    assert body.cell.input.weight.shape == (15, 6)
    state = body.reset()
    observation = (jnp.zeros(IMAGE.shape, jnp.uint8), jnp.array(2))
    after, x = body(state, observation)
    np.testing.assert_array_equal(x, body.cell.step(state.memory, body.encode(observation))[1])
    np.testing.assert_array_equal(x, after.memory)


def test_an_actor_and_a_critic_with_two_memories_do_not_share_them():
    from perdure.policy import RecurrentActorCriticPolicy

    spaces = Spaces(Box(-1, 1, (3,)), Discrete(2))
    settings = {"memory_size": 4, "separate_critic": True, "hidden_sizes": (4,)}
    policy = RecurrentActorCriticPolicy(spaces, **settings, key=jr.key(0))

    def value(cells):
        other = eqx.tree_at(lambda p: p.body.cell.cells, policy, cells)
        return other.value(other.reset(key=jr.key(0)), jnp.ones(3))[1]

    of_actor, of_critic = eqx.filter_grad(value)(policy.body.cell.cells)
    assert all((g == 0).all() for g in jax.tree.leaves(of_actor))
    assert any((g != 0).any() for g in jax.tree.leaves(of_critic))


def test_frame_stack_is_channels():
    policy = CNNActorCriticPolicy(
        Spaces(Box(0, 255, (8, 8, 4), np.uint8), Discrete(2)), convolutions=SMALL, key=jr.key(0)
    )
    assert policy.body.cnns[0].convs[0].weight.shape == (4, 4, 3, 3)


def test_an_observation_without_an_image_is_refused_by_an_image_policy():
    with pytest.raises(TypeError, match="Use an MLP policy"):
        CNNActorCriticPolicy(Spaces(Box(-1, 1, (3,)), Discrete(2)), key=jr.key(0))


def test_a_stateful_policy_without_its_state_says_how_to_get_one():
    policy = RecurrentQPolicy(Spaces(Box(-1, 1, (3,)), Discrete(2)), memory_size=4, key=jr.key(0))
    with pytest.raises(TypeError, match=r"Start with policy\.reset"):
        policy(None, jnp.zeros(3))


def test_an_unknown_cell_is_refused():
    with pytest.raises(ValueError, match="cell='rnn' is not known"):
        RecurrentCell("rnn", 4)
