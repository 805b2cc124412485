"""The replay buffer: a ring that is written in place."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Int, Key, PyTree

from perdure._core import register


@register(name="algorithm.Buffer")
@final
class Buffer(eqx.Module):
    """The last steps of every environment, each a tree of arrays, in blocks of a fixed number of steps.

    A block is one contiguous write, so inside a compiled loop XLA updates the ring in place, and a step costs the same
    whatever the capacity. An *item* is one step of one environment, by its place in the ring.
    """

    data: PyTree  # leaves (blocks, num_steps, num_envs, ...)
    blocks_written: Int[Array, ""]  # since the beginning, also those overwritten since

    @classmethod
    def empty(cls, example: PyTree, capacity: int) -> "Buffer":
        """A buffer for blocks shaped like `example`, leading axes `(num_steps, num_envs)`.

        `capacity` counts items and is rounded up to whole blocks.
        """
        num_steps, num_envs = jax.tree.leaves(example)[0].shape[:2]
        num_blocks = -(-capacity // (num_steps * num_envs))
        data = jax.tree.map(lambda x: jnp.zeros((num_blocks, *x.shape), x.dtype), example)
        return cls(data, jnp.zeros((), jnp.int32))

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(blocks, num_steps, num_envs)`."""
        return jax.tree.leaves(self.data)[0].shape[:3]

    @property
    def num_items(self) -> int:
        """How many items it holds once it is full."""
        num_blocks, num_steps, num_envs = self.shape
        return num_blocks * num_steps * num_envs

    def extend(self, block: PyTree) -> "Buffer":
        """With a block written over the oldest one."""
        at = self.blocks_written % self.shape[0]
        data = jax.tree.map(lambda ring, x: jax.lax.dynamic_update_index_in_dim(ring, x, at, 0), self.data, block)
        return Buffer(data, self.blocks_written + 1)

    def num_windows(self, length: int) -> Int[Array, ""]:
        """How many items have `length - 1` later steps of their environment after them."""
        num_blocks, num_steps, num_envs = self.shape
        steps = jnp.minimum(self.blocks_written, num_blocks) * num_steps
        return jnp.maximum(steps - length + 1, 0) * num_envs

    def draw(self, size: int, *, length: int = 1, key: Key[Array, ""]) -> Int[Array, " size"]:
        """Items drawn with replacement from those that a window of `length` steps may begin with.

        Each of n is as likely as any other but for one part in 2**32 / n.
        """
        num_blocks, num_steps, num_envs = self.shape
        is_full = self.blocks_written >= num_blocks
        oldest = jnp.where(is_full, self.blocks_written % num_blocks, 0) * num_steps * num_envs
        drawn = jr.bits(key, (size,), jnp.uint32) % self.num_windows(length).astype(jnp.uint32)
        return (oldest + drawn.astype(jnp.int32)) % self.num_items

    def windows(self, items: Int[Array, " size"], *, length: int = 1) -> PyTree:
        """Each item and the next `length - 1` steps of its environment, leading axes `(size, length)`."""
        num_blocks, num_steps, num_envs = self.shape
        at, env = jnp.divmod(items[:, None] + jnp.arange(length) * num_envs, num_envs)
        block, step = jnp.divmod(at % (num_blocks * num_steps), num_steps)
        return jax.tree.map(lambda ring: ring[block, step, env], self.data)  # a flat view of the ring would be a copy
