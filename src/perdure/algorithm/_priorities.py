"""Prioritised replay: what surprised more is replayed more often (Schaul et al. 2016, arXiv:1511.05952)."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Int, Key

from perdure._core import register

from ._buffer import Buffer

FAN_OUT = 16
SMALLEST = 1e-6  # added to every error, so that nothing is lost for ever


@register(name="algorithm.SumTree")
@final
class SumTree(eqx.Module):
    """Numbers that are not negative, and their sums by sixteens, up to the sum of all.

    Setting and finding cost one step a level, so their price hardly grows with the size, and inside a compiled loop both
    work in place.
    """

    levels: tuple[Float[Array, "_ 16"], ...]  # from the numbers up; each row sums up to one number of the next level

    @classmethod
    def zeros(cls, size: int) -> "SumTree":
        levels: list[Float[Array, "_ 16"]] = []
        while size > 1 or not levels:
            size = -(-size // FAN_OUT)
            levels.append(jnp.zeros((size, FAN_OUT)))
        return cls(tuple(levels))

    @property
    def total(self) -> Float[Array, ""]:
        return self.levels[-1].sum()

    def __getitem__(self, index: Int[Array, " size"]) -> Float[Array, " size"]:
        return self.levels[0][index // FAN_OUT, index % FAN_OUT]

    def set(self, index: Int[Array, " size"], value: Float[Array, " size"]) -> "SumTree":
        """With the numbers at `index` replaced; an index that comes twice must come with one value."""
        levels: list[Float[Array, "_ 16"]] = []
        for level in self.levels:
            row = index // FAN_OUT
            level = level.at[row, index % FAN_OUT].set(value)
            # read before anybody writes again: without this order XLA copies the level
            level, value = jax.lax.optimization_barrier((level, level[row].sum(-1)))
            levels.append(level)
            index = row
        return SumTree(tuple(levels))

    def find(self, mass: Float[Array, ""]) -> Int[Array, ""]:
        """The first index whose number, with all before it, adds up to more than `mass`; one with a number above 0."""
        index = jnp.zeros((), jnp.int32)
        for level in reversed(self.levels):
            children = level[index]
            before = jnp.cumsum(children)
            last = FAN_OUT - 1 - jnp.argmax(children[::-1] > 0)  # rounding must not lead past what is there
            child = jnp.minimum((before <= mass).sum(), last)
            mass = mass - jnp.where(child > 0, before[child - 1], 0.0)
            index = index * FAN_OUT + child
        return index.astype(jnp.int32)


@register(name="algorithm.Priorities")
@final
class Priorities(eqx.Module):
    """How likely each item of a buffer is to be replayed.

    | symbol | here | source |
    |---|---|---|
    | p_i ^ alpha | `tree`, alpha = `exponent` | eq. 1 |
    | (1 / N / P(i)) ^ beta | weights of `draw`, beta = `importance_exponent` | section 3.4 |

    New items are as likely as the likeliest so far (algorithm 1). Weights are divided by the largest of the batch.
    """

    tree: SumTree
    highest: Float[Array, ""]  # number in the tree that any item ever had

    @classmethod
    def empty(cls, buffer: Buffer) -> "Priorities":
        return cls(SumTree.zeros(buffer.num_items), jnp.ones(()))

    def extend(self, buffer: Buffer, *, length: int) -> "Priorities":
        """With the newest block of `buffer` taken in. Items whose window is not complete yet have to wait."""
        num_blocks, num_steps, num_envs = buffer.shape
        written, few = buffer.blocks_written, 3 * num_blocks  # past those, all that matters is where the ring stands
        newest = jnp.where(written < few, written, 2 * num_blocks + written % num_blocks) * num_steps - 1
        steps = newest - jnp.arange(num_steps + length - 1)  # all whose window is complete now, or is not yet
        is_complete = (steps >= 0) & (steps <= newest - (length - 1))  # negative ones never were
        items = (steps % (num_blocks * num_steps))[:, None] * num_envs + jnp.arange(num_envs)
        value = jnp.repeat(jnp.where(is_complete, self.highest, 0.0), num_envs)
        return Priorities(self.tree.set(items.reshape(-1), value), self.highest)

    def draw(
        self, size: int, *, num_items: Int[Array, ""], importance_exponent: Float[Array, ""], key: Key[Array, ""]
    ) -> tuple[Int[Array, " size"], Float[Array, " size"]]:
        """Items, one from each of `size` equal parts of the total (appendix B.2.1), and their weights in the loss."""
        part = (jnp.arange(size) + jr.uniform(key, (size,))) / size
        items = jax.vmap(self.tree.find)(part * self.tree.total)
        items, probability = jax.lax.optimization_barrier(
            (items, self.tree[items] / self.tree.total)
        )  # read before written
        weight = (1 / (num_items * probability)) ** importance_exponent
        return items, weight / weight.max()

    def update(self, items: Int[Array, " size"], error: Float[Array, " size"], *, exponent: float) -> "Priorities":
        """With the errors that these items were last seen with."""
        value = (jnp.abs(error) + SMALLEST) ** exponent
        return Priorities(self.tree.set(items, value), jnp.maximum(self.highest, value.max()))
