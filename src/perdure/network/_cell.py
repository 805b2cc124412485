"""What every recurrent network offers, and several of them side by side."""

from abc import abstractmethod
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from perdure._core import register


class AbstractCell(eqx.Module):
    """One step in time: a state and a vector in, the next state and a vector out. States are trees of float32 arrays."""

    @property
    @abstractmethod
    def out_size(self) -> int:
        """Length of what `step` gives."""

    @abstractmethod
    def initial_state(self) -> PyTree:
        """The state before the first step: zeros."""

    @abstractmethod
    def step(self, state: PyTree, x: Float[Array, " in_size"]) -> tuple[PyTree, Float[Array, " out_size"]]:
        """The next state, and the output."""


@register
@final
class Parallel(AbstractCell):
    """Cells that see the same input and know nothing of each other; the outputs one after the other."""

    cells: tuple[AbstractCell, ...]

    @property
    def out_size(self) -> int:
        return sum(cell.out_size for cell in self.cells)

    def initial_state(self) -> tuple[PyTree, ...]:
        return tuple(cell.initial_state() for cell in self.cells)

    def step(
        self, state: tuple[PyTree, ...], x: Float[Array, " in_size"]
    ) -> tuple[tuple[PyTree, ...], Float[Array, " out_size"]]:
        states, outputs = zip(*(cell.step(s, x) for cell, s in zip(self.cells, state, strict=True)), strict=True)
        return states, jnp.concatenate(outputs)


@register
@final
class Stack(AbstractCell):
    """Cells one after the other: each sees what the one before gives."""

    cells: tuple[AbstractCell, ...]

    @property
    def out_size(self) -> int:
        return self.cells[-1].out_size

    def initial_state(self) -> tuple[PyTree, ...]:
        return tuple(cell.initial_state() for cell in self.cells)

    def step(
        self, state: tuple[PyTree, ...], x: Float[Array, " in_size"]
    ) -> tuple[tuple[PyTree, ...], Float[Array, " out_size"]]:
        states = []
        for cell, part in zip(self.cells, state, strict=True):
            part, x = cell.step(part, x)
            states.append(part)
        return tuple(states), x
