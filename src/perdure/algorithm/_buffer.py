"""The replay buffer: a ring that is written in place."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Int, Key, PyTree


@final
class Buffer(eqx.Module):
    """The last items, each a tree of arrays, in blocks of a fixed size.

    A block is one contiguous write, so inside a compiled loop XLA updates the ring in place, and a step costs the same
    whatever the capacity.
    """

    data: PyTree  # leaves (blocks, block_size, ...)
    blocks_written: Int[Array, ""]  # since the beginning, also those overwritten since

    @classmethod
    def empty(cls, example: PyTree, capacity: int) -> "Buffer":
        """A buffer for blocks shaped like `example` (leading axis: the items), `capacity` rounded up to whole blocks."""
        num_blocks = -(-capacity // jax.tree.leaves(example)[0].shape[0])
        data = jax.tree.map(lambda x: jnp.zeros((num_blocks, *x.shape), x.dtype), example)
        return cls(data, jnp.zeros((), jnp.int32))

    def extend(self, block: PyTree) -> "Buffer":
        """With a block written over the oldest one."""
        num_blocks = jax.tree.leaves(self.data)[0].shape[0]
        at = self.blocks_written % num_blocks
        data = jax.tree.map(lambda ring, x: jax.lax.dynamic_update_index_in_dim(ring, x, at, 0), self.data, block)
        return Buffer(data, self.blocks_written + 1)

    def sample(self, size: int, *, key: Key[Array, ""]) -> PyTree:
        """`size` items drawn uniformly with replacement from those written."""
        num_blocks, block_size = jax.tree.leaves(self.data)[0].shape[:2]
        filled = jnp.minimum(self.blocks_written, num_blocks) * block_size
        index = jr.randint(key, (size,), 0, filled)
        return jax.tree.map(lambda ring: ring[index // block_size, index % block_size], self.data)
