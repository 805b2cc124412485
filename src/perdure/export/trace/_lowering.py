"""What the rules for JAX primitives share: the table of rules, and helpers that append to the graph.

A rule is `rule(low, equation, *inputs)` and returns a tensor, or a list with one for each output of the equation.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Primitive
from numpy.typing import DTypeLike

from perdure._core import ExportError
from perdure.graph import Shape, Tensor, constant, emit

Rule = Callable[..., Any]


class Variable(Protocol):
    """A value of a jaxpr, by what is known of it while tracing."""

    @property
    def aval(self) -> Any: ...


class Equation(Protocol):
    """What a rule reads of an equation of a jaxpr."""

    @property
    def primitive(self) -> Primitive: ...
    @property
    def params(self) -> dict[str, Any]: ...
    @property
    def invars(self) -> Sequence[Variable]: ...
    @property
    def outvars(self) -> Sequence[Variable]: ...


RULES: dict[str, Rule] = {}


def lowers(*primitives: str) -> Callable[[Rule], Rule]:
    """Decorator: this rule lowers these primitives."""

    def register(rule: Rule) -> Rule:
        for name in primitives:
            RULES[name] = rule
        return rule

    return register


class Builder(ABC):
    """Appends nodes that carry the current source line and scope. `_trace.Tracer` is the one implementation."""

    where = ""
    scope = ""

    @abstractmethod
    def shape(self, dims: Sequence[Any]) -> Shape:
        """Our shape for JAX's, in which the batch is a symbol."""

    @abstractmethod
    def inline(self, closed: ClosedJaxpr | Jaxpr, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The outputs of an inner jaxpr."""

    def emit(self, op: str, *inputs: Tensor, **attrs: Any) -> Tensor:
        return emit(op, *inputs, where=self.where, scope=self.scope, **attrs)

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        if x.is_constant and all(d >= 0 for d in shape):
            return constant(x.value.reshape(tuple(shape)), x.name)
        return self.emit("Reshape", x, shape=tuple(shape))

    def transpose(self, x: Tensor, perm: Sequence[Any]) -> Tensor:
        perm = tuple(int(i) for i in perm)
        return constant(x.value.transpose(perm), x.name) if x.is_constant else self.emit("Transpose", x, perm=perm)

    def slice(
        self, x: Tensor, starts: Sequence[Any], sizes: Sequence[Any], steps: Sequence[Any] | None = None
    ) -> Tensor:
        starts, sizes = tuple(map(int, starts)), tuple(map(int, sizes))
        return self.emit("Slice", x, starts=starts, sizes=sizes, steps=tuple(map(int, steps or [1] * x.rank)))

    def cut(self, x: Tensor, axis: int, start: int, count: int) -> Tensor:
        """`count` entries along one axis, from `start`."""
        return self.slice(
            x,
            [start if i == axis else 0 for i in range(x.rank)],
            [count if i == axis else d for i, d in enumerate(x.shape)],
        )

    def cast(self, x: Tensor, dtype: DTypeLike) -> Tensor:
        dtype = np.dtype(dtype)
        if x.is_constant:
            return constant(x.value.astype(dtype), x.name)
        return x if x.dtype == dtype else self.emit("Cast", x, to=dtype)

    def is_nonzero(self, x: Tensor) -> Tensor:
        return self.emit("Not", self.emit("Eq", x, constant(np.zeros((), x.dtype))))


def integer_dtype(dtype: DTypeLike) -> np.dtype:
    """uint32 is held as int32: counters and positions, which is all that JAX itself makes of it, stay below 2^31."""
    return np.dtype(np.int32) if np.dtype(dtype) == np.uint32 else np.dtype(dtype)


def is_key(value: Any) -> bool:
    return jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ExportError(message)
