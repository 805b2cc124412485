"""The replay buffer keeps the newest items and samples uniformly from what was written."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr

from perdure.algorithm._buffer import Buffer


def block(first):
    return {"x": jnp.arange(first, first + 3)}


def test_only_what_was_written_is_sampled():
    buffer = Buffer.empty(block(0), 12).extend(block(10))
    assert set(buffer.sample(200, key=jr.key(0))["x"].tolist()) == {10, 11, 12}


def test_a_full_ring_forgets_the_oldest_block():
    buffer = Buffer.empty(block(0), 6)
    for first in (10, 20, 30):
        buffer = buffer.extend(block(first))
    assert set(buffer.sample(500, key=jr.key(0))["x"].tolist()) == {20, 21, 22, 30, 31, 32}


def test_capacity_is_rounded_up_to_whole_blocks():
    assert Buffer.empty(block(0), 7).data["x"].shape == (3, 3)


def test_sampling_is_uniform_over_all_items():
    buffer = Buffer.empty(block(0), 6).extend(block(0)).extend(block(3))
    counts = np.bincount(np.asarray(buffer.sample(60_000, key=jr.key(1))["x"]), minlength=6)
    np.testing.assert_allclose(counts / 60_000, 1 / 6, atol=0.01)


def test_the_compiled_loop_updates_the_ring_in_place():
    """The loop over a large buffer needs hardly more memory than the buffer itself: no copy of it is made."""
    buffer = Buffer.empty({"x": jnp.zeros((4, 64))}, 40_000)

    def run(buffer):
        def step(buffer, key):
            buffer = buffer.extend({"x": buffer.sample(4, key=key)["x"] + 1})
            return buffer, None

        return jax.lax.scan(step, buffer, jr.split(jr.key(0), 10))[0]

    compiled = jax.jit(run, donate_argnums=0).lower(buffer).compile()
    size = buffer.data["x"].nbytes
    assert compiled.memory_analysis().temp_size_in_bytes < size / 10
