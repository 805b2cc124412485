"""Prioritised replay draws by priority, and makes good for it in the loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.algorithm._buffer import Buffer
from perdure.algorithm._priorities import Priorities, SumTree


def filled(num_blocks, capacity=12, length=1):
    """A buffer of two steps of two environments a block, and its priorities after `num_blocks` blocks."""
    block = {"x": jnp.zeros((2, 2))}
    buffer = Buffer.empty(block, capacity)
    priorities = Priorities.empty(buffer)
    for _ in range(num_blocks):
        buffer = buffer.extend(block)
        priorities = priorities.extend(buffer, length=length)
    return buffer, priorities


def test_the_tree_adds_up_and_finds():
    tree = SumTree.zeros(600).set(jnp.array([0, 17, 599]), jnp.array([1.0, 2.0, 4.0]))
    assert len(tree.levels) == 3
    assert tree.total == 7
    found = jax.vmap(tree.find)(
        jnp.array([0.0, 0.9, 1.0, 2.9, 3.0, 6.9, 7.0, 8.0])
    )  # past the end: the last that is there
    assert found.tolist() == [0, 0, 17, 17, 599, 599, 599, 599]


def test_draws_follow_the_priorities_and_weights_undo_them():
    buffer, priorities = filled(3)
    error = jnp.array([1.0, 2.0, 3.0, 4.0])
    priorities = priorities.update(jnp.arange(12), jnp.zeros(12), exponent=1.0).update(
        jnp.arange(4), error, exponent=1.0
    )
    items, weight = priorities.draw(
        10_000, num_items=buffer.num_windows(1), importance_exponent=jnp.array(1.0), key=jr.key(0)
    )
    shares = np.bincount(np.asarray(items), minlength=12) / 10_000
    np.testing.assert_allclose(shares[:4], [0.1, 0.2, 0.3, 0.4], atol=0.001)  # stratified: hardly any spread
    # 1 / (N P): N = 12, P = 0.1, ..., 0.4; divided by the largest, which belongs to P = 0.1
    np.testing.assert_allclose([weight[items == i][0] for i in range(4)], [1, 1 / 2, 1 / 3, 1 / 4], rtol=1e-4)


def test_the_exponent_flattens():
    _, priorities = filled(3)
    priorities = priorities.update(jnp.arange(12), jnp.arange(12.0) ** 2, exponent=0.5)
    np.testing.assert_allclose(priorities.tree[jnp.arange(12)], np.arange(12), atol=2e-3)


def test_new_items_are_as_likely_as_the_likeliest():
    buffer, priorities = filled(1)
    priorities = priorities.update(jnp.arange(4), jnp.array([9.0, 0.0, 0.0, 0.0]), exponent=1.0)
    priorities = priorities.extend(buffer.extend({"x": jnp.zeros((2, 2))}), length=1)
    np.testing.assert_allclose(priorities.tree[jnp.arange(12)], [9, 0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 0], atol=1e-5)


@pytest.mark.parametrize("num_blocks", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_only_items_with_a_whole_window_are_drawn(num_blocks, length):
    buffer, priorities = filled(num_blocks, length=length)
    drawn = set(np.flatnonzero(np.asarray(priorities.tree[jnp.arange(12)])).tolist())
    uniform = set(buffer.draw(500, length=length, key=jr.key(0)).tolist()) if buffer.num_windows(length) else set()
    assert drawn == uniform
