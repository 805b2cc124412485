"""The replay buffer keeps the newest items and samples uniformly from what was written."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr

from perdure.algorithm._buffer import Buffer
from perdure.algorithm._priorities import Priorities


def block(first):
    """Three steps of one environment."""
    return {"x": jnp.arange(first, first + 3)[:, None]}


def sample(buffer, size, *, length=1, key):
    """The numbers of `size` windows, `(size, length)`."""
    return buffer.windows(buffer.draw(size, length=length, key=key), length=length)["x"]


def test_only_what_was_written_is_sampled():
    buffer = Buffer.empty(block(0), 12).extend(block(10))
    assert set(np.ravel(sample(buffer, 200, key=jr.key(0))).tolist()) == {10, 11, 12}


def test_a_full_ring_forgets_the_oldest_block():
    buffer = Buffer.empty(block(0), 6)
    for first in (10, 20, 30):
        buffer = buffer.extend(block(first))
    assert set(np.ravel(sample(buffer, 500, key=jr.key(0))).tolist()) == {20, 21, 22, 30, 31, 32}


def test_capacity_is_rounded_up_to_whole_blocks():
    assert Buffer.empty(block(0), 7).data["x"].shape == (3, 3, 1)


def test_sampling_is_uniform_over_all_items():
    buffer = Buffer.empty(block(0), 6).extend(block(0)).extend(block(3))
    counts = np.bincount(np.ravel(sample(buffer, 60_000, key=jr.key(1))), minlength=6)
    np.testing.assert_allclose(counts / 60_000, 1 / 6, atol=0.01)


def test_windows_are_consecutive_steps_of_one_environment_across_blocks_and_around_the_ring():
    steps = lambda first: {"x": jnp.arange(first, first + 3)[:, None] * jnp.array([1, -1])}  # noqa: E731 - two environments
    buffer = Buffer.empty(steps(0), 18)
    for first in (1, 4, 7, 10):  # the fourth block overwrites the first
        buffer = buffer.extend(steps(first))
    windows = np.asarray(sample(buffer, 400, length=4, key=jr.key(0)))
    assert (np.abs(np.diff(windows, axis=1)) == 1).all()
    assert set(np.abs(windows[:, 0]).tolist()) == {4, 5, 6, 7, 8, 9}  # 12 is the newest step
    assert (np.sign(windows) == np.sign(windows[:, :1])).all()
    assert buffer.num_windows(4) == 12


def temporary_bytes(step, carry):
    """What a compiled loop of `step` needs besides what it carries."""
    loop = jax.jit(
        lambda c: jax.lax.scan(lambda c, k: (step(c, k), None), c, jr.split(jr.key(0), 10))[0], donate_argnums=0
    )
    return loop.lower(carry).compile().memory_analysis().temp_size_in_bytes


def test_the_compiled_loop_updates_the_ring_in_place():
    """The loop over a large buffer needs hardly more memory than the buffer itself: no copy of it is made."""
    buffer = Buffer.empty({"x": jnp.zeros((4, 1, 64))}, 40_000)

    def step(buffer, key):
        return buffer.extend({"x": buffer.windows(buffer.draw(4, length=2, key=key), length=2)["x"][:, :1] + 1})

    assert temporary_bytes(step, buffer) < buffer.data["x"].nbytes / 100


def test_the_compiled_loop_updates_priorities_in_place():
    def step(priorities, key):
        items, weight = priorities.draw(4, num_items=jnp.array(8), importance_exponent=jnp.array(1.0), key=key)
        return priorities.update(items, weight, exponent=0.5)

    priorities = Priorities.empty(Buffer.empty({"x": jnp.zeros((4, 1))}, 40_000))
    assert temporary_bytes(step, priorities) < priorities.tree.levels[0].nbytes / 10
