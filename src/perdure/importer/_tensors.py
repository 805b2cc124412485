"""The weights of a model by name; what was taken is remembered, so that nothing is left out unnoticed."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from perdure._core import FileFormatError
from perdure.network import Linear


class Layer(NamedTuple):
    """A linear layer as PyTorch has it; Flax's kernel is the transposed weight."""

    weight: np.ndarray  # (out, in)
    bias: np.ndarray

    def linear(self) -> Linear:
        return Linear(jnp.asarray(self.weight), jnp.asarray(self.bias))


class Tensors:
    """Float32 arrays by name.

    Messages call the place that they are from `file`, and end in `hint` where a name is not what it should be.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], file: str, hint: str = ""):
        self._arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
        self._taken: set[str] = set()
        self.file, self._hint = file, f" {hint}" if hint else ""

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def has(self, prefix: str) -> bool:
        """True if a name begins like this."""
        return any(name.startswith(prefix) for name in self._arrays)

    def take(self, name: str, ndim: int) -> np.ndarray:
        """Raises: FileFormatError if it is absent, has another number of dimensions, or holds NaN or infinity."""
        if name not in self._arrays:
            raise FileFormatError(
                f"{self.file} has no tensor {name!r}, which a standard policy has; it has "
                f"{', '.join(self._arrays)[:300]}.{self._hint}"
            )
        self._taken.add(name)
        array = self._arrays[name]
        if array.ndim != ndim:
            raise FileFormatError(
                f"{self.file}: {name!r} has the shape {list(array.shape)}, where {ndim} dimensions are usual. "
                "Is it a layer of your own?"
            )
        if not np.isfinite(array).all():
            raise FileFormatError(f"{self.file}: {name!r} holds NaN or infinity, so the training had failed.")
        return array

    def shaped(self, name: str, *shape: int) -> np.ndarray:
        """Like `take`.

        Raises: FileFormatError also if it has another shape.
        """
        array = self.take(name, len(shape))
        if array.shape != shape:
            raise FileFormatError(
                f"{self.file}: {name!r} is {list(array.shape)}, the sizes beside it ask for {list(shape)}.{self._hint}"
            )
        return array

    def layer(self, name: str) -> Layer:
        """The linear layer of this name; without a bias it is zero.

        Raises: FileFormatError if its shapes do not fit each other.
        """
        weight = self.take(f"{name}.weight", 2)
        size = len(weight)
        return Layer(
            weight, self.shaped(f"{name}.bias", size) if f"{name}.bias" in self else np.zeros(size, np.float32)
        )

    def layers(self, prefix: str) -> list[Layer]:
        """The linear layers of a Sequential, in which each is followed by an activation.

        Raises: FileFormatError if something else is between them, or their shapes do not fit.
        """
        pattern = re.compile(re.escape(prefix) + r"\.(\d+)\.")
        found = sorted({int(match[1]) for name in self._arrays if (match := pattern.match(name))})
        if found != list(range(0, 2 * len(found), 2)):
            raise FileFormatError(
                f"{self.file}: {prefix} has layers at {found}, but layer, activation, layer, ... is read. "
                "Is it a network of your own?"
            )
        return [self.layer(f"{prefix}.{i}") for i in found]

    def below(self, prefix: str) -> dict[str, np.ndarray]:
        """All whose name begins like this, without that beginning."""
        arrays = self._below(prefix)
        self._taken.update(f"{prefix}{name}" for name in arrays)
        return arrays

    def _below(self, prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): x for name, x in self._arrays.items() if name.startswith(prefix)}

    def same_below(self, first: str, second: str) -> bool:
        """True if two parts hold the same numbers. Takes nothing."""
        one, two = self._below(first), self._below(second)
        return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)

    def left_out(self, prefixes: tuple[str, ...]) -> list[str]:
        """Which of the parts that may be left out are there.

        Raises: FileFormatError for a tensor that was not taken and is of none of them.
        """
        left = [name for name in self._arrays if name not in self._taken]
        if unknown := [name for name in left if not name.startswith(prefixes)]:
            raise FileFormatError(
                f"{self.file}: {unknown[0][:120]!r} is of no part that a standard policy has, so it may change what the "
                f"policy does.{self._hint}"
            )
        return [prefix for prefix in prefixes if any(name.startswith(prefix) for name in left)]


def read_safetensors(data: bytes, file: str) -> dict[str, np.ndarray]:
    """Raises: FileFormatError naming `file` for what is no safetensors file."""
    try:
        return safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise FileFormatError(f"{file}: no safetensors file, or a damaged one: {str(error)[:120]}") from error
