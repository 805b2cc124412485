"""A graph as a module: what it computes is a static description, its weights are leaves.

It saves and loads without the code that it came from: the operators are named in the file, and what a name means never changes.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from perdure._core import AbstractConstant, ExportError, register

from ._graph import DTYPES, Graph, Node, Shape, Tensor, bind
from ._jax import in_jax
from ._operators import ATTRIBUTES, emit

Attribute = bool | int | float | str | None | tuple["Attribute", ...]


@register(name="graph.Step")
@dataclasses.dataclass(frozen=True)
class Step:
    """One operator. `inputs` are numbers of values: the function's inputs first, then its arrays, then what the steps give."""

    op: str
    inputs: tuple[int, ...]
    attributes: tuple[tuple[str, Attribute], ...]  # sorted by name


@register(name="graph.Input")
@dataclasses.dataclass(frozen=True)
class Input:
    name: str
    shape: Shape  # a negative dimension -k stands for k * batch
    dtype: str


@register(name="graph.Output")
@dataclasses.dataclass(frozen=True)
class Output:
    name: str
    value: int  # its number


@register(name="graph.Constants")
@final
class Constants(AbstractConstant):
    """Arrays of a graph that are not learned."""

    arrays: dict[str, jax.Array]


def frozen(value: object) -> Attribute:
    """An attribute that is equal to and hashed as another of the same value, and that files hold.

    Raises: TypeError for what is no attribute.
    """
    if isinstance(value, np.generic | np.ndarray):
        return frozen(value.tolist())
    if isinstance(value, list | tuple):
        return tuple(map(frozen, value))
    if isinstance(value, float) and math.isnan(value):
        return math.nan  # the one object that is found equal in a tuple; a rebuilt one is this too
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.dtype | type):
        return np.dtype(value).name
    raise TypeError(f"an attribute of a graph is {type(value).__name__}. Give numbers, text, or tuples of them.")


def is_weight_of_a_layer(tensor: Tensor, graph: Graph) -> bool:
    """Whether a constant is the weight or bias of a layer, or a factor of a product."""
    readers = [node for node in graph.nodes() if any(t is tensor for t in node.inputs)]
    return tensor.dtype == np.float32 and any(
        node.op == "MatMul" or (node.op in ("Dense", "Conv") and all(t is not tensor for t in node.inputs[:1]))
        for node in readers
    )


def without_array_bounds(node: Node) -> list[tuple[str, list[Tensor], dict[str, Any]]]:
    """The node as operators, inputs and attributes; bounds of Clip that are arrays become constants of Max and Min.

    In a chain each operator takes what the one before it gives, then the inputs listed.
    """
    bounds = {key: np.asarray(node.attrs[key]) for key in ("lo", "hi")} if node.op == "Clip" else {}
    if all(bound.ndim == 0 for bound in bounds.values()):
        return [(node.op, node.inputs, node.attrs)]
    constants = [
        Tensor(bound.shape, node.out.dtype, f"{node.out.name or 'clip'}.{key}", bound.astype(node.out.dtype))
        for key, bound in bounds.items()
    ]
    return [("Max", [node.inputs[0], constants[0]], {}), ("Min", [constants[1]], {})]


@register(name="graph.GraphFunction")
@final
class GraphFunction(eqx.Module):
    """Arrays in, arrays out, in the order of `inputs` and `outputs`; of one there is no tuple.

    With inputs of fixed shapes it maps one item, and `jax.vmap` makes a batch of it, so that it can stand for a layer: then
    `in_size` and `out_size` are the lengths of the vectors. Negative dimensions stand for multiples of a batch.

    Raises: ValueError for a description that is no graph, by step and name; TypeError when it is given other inputs.
    """

    inputs: tuple[Input, ...] = eqx.field(static=True)
    steps: tuple[Step, ...] = eqx.field(static=True)
    outputs: tuple[Output, ...] = eqx.field(static=True)
    order: tuple[str, ...] = eqx.field(static=True)  # of the arrays, by their names in `weights` or `constants`
    weights: dict[str, jax.Array]  # learned
    constants: Constants

    def __check_init__(self) -> None:
        held = [*self.weights, *self.constants.arrays]
        if sorted(held) != sorted(self.order):
            raise ValueError(
                f"GraphFunction.order is {self.order[:8]}, but its arrays are {tuple(held)[:8]}. Name each once."
            )
        self.graph()
        shapes = {i.name: jax.ShapeDtypeStruct(bind(i.shape, 2), np.dtype(i.dtype)) for i in self.inputs}
        try:
            jax.eval_shape(self.named, shapes)
        except Exception as error:  # the attributes of a step may be anything, so may be the complaint
            raise ValueError(f"GraphFunction cannot be run: {type(error).__name__}: {str(error)[:200]}.") from error

    @classmethod
    def from_graph(
        cls, graph: Graph, *, is_learned: Callable[[Tensor, Graph], bool] = is_weight_of_a_layer
    ) -> "GraphFunction":
        """The function of a graph. `is_learned(constant, graph)` says which constants are weights; by default those of layers.

        A constant that was folded while tracing, such as weights times a mask, is one array: if it is learned, so are its zeros.
        """
        number = {id(t): i for i, t in enumerate(graph.inputs)}
        chains = [(node, without_array_bounds(node)) for node in graph.nodes()]
        read = [t for _, chain in chains for _, inputs, _ in chain for t in inputs] + [t for _, t in graph.outputs]
        weights, constants, order = dict[str, jax.Array](), dict[str, jax.Array](), list[str]()
        for t in read:
            if t.is_constant and id(t) not in number:
                number[id(t)] = len(number)
                name = unused(t.name or "constant", order)
                order.append(name)
                (weights if is_learned(t, graph) else constants)[name] = jnp.asarray(t.value)
        steps = list[Step]()
        for node, chain in chains:
            before: tuple[int, ...] = ()
            for op, inputs, attributes in chain:
                named = tuple(sorted((name, frozen(value)) for name, value in attributes.items()))
                steps.append(Step(op, (*before, *(number[id(t)] for t in inputs)), named))
                before = (len(graph.inputs) + len(order) + len(steps) - 1,)
            number[id(node.out)] = before[0]
        return cls(
            inputs=tuple(Input(t.name, tuple(t.shape), np.dtype(t.dtype).name) for t in graph.inputs),
            steps=tuple(steps),
            outputs=tuple(Output(name, number[id(t)]) for name, t in graph.outputs),
            order=tuple(order),
            weights=dict(sorted(weights.items())),  # the order in which JAX puts a dict together again
            constants=Constants(dict(sorted(constants.items()))),
        )

    def graph(self) -> Graph:
        """The graph with the arrays of this function, which may be traced. Raises: ValueError as the class."""
        held = {**self.weights, **self.constants.arrays}
        values = [input_tensor(i) for i in self.inputs]
        inputs = list(values)
        values += [Tensor(tuple(held[n].shape), np.dtype(held[n].dtype), n, held[n]) for n in self.order]
        for k, step in enumerate(self.steps):
            if step.op not in ATTRIBUTES:
                raise ValueError(
                    f"GraphFunction.steps[{k}] has the operator {step.op!r}. Known: {', '.join(ATTRIBUTES)}."
                )
            attributes: dict[str, Any] = dict(step.attributes)
            if set(attributes) != set(ATTRIBUTES[step.op]):
                raise ValueError(
                    f"GraphFunction.steps[{k}]: {step.op} has {ATTRIBUTES[step.op]}, not {tuple(attributes)}."
                )
            if not step.inputs or not all(0 <= i < len(values) for i in step.inputs):
                raise ValueError(f"GraphFunction.steps[{k}] reads {step.inputs}; {len(values)} values are before it.")
            if step.op == "Cast":
                attributes["to"] = dtype_of(attributes["to"], f"steps[{k}].to")
            try:
                values.append(emit(step.op, *[values[i] for i in step.inputs], **attributes))
            except (ExportError, TypeError, IndexError, ValueError, ArithmeticError, AttributeError) as error:
                shapes = [values[i].shape for i in step.inputs]
                raise ValueError(f"GraphFunction.steps[{k}]: {step.op} does not take {shapes}: {error}.") from error
        if not all(0 <= output.value < len(values) for output in self.outputs):
            raise ValueError(f"GraphFunction.outputs are {self.outputs[:8]}, but there are {len(values)} values.")
        return Graph(inputs, [(output.name, values[output.value]) for output in self.outputs])

    def named(self, arrays: Mapping[str, ArrayLike]) -> dict[str, jax.Array]:
        """Outputs by name for inputs by name."""
        return in_jax(self.graph())(arrays)

    def __call__(self, *arrays: ArrayLike) -> Any:
        if len(arrays) != len(self.inputs):
            names = ", ".join(i.name for i in self.inputs)
            raise TypeError(f"GraphFunction got {len(arrays)} arrays, but takes {len(self.inputs)}: {names}.")
        answer = self.named({i.name: x for i, x in zip(self.inputs, arrays, strict=True)})
        return tuple(answer.values()) if len(answer) > 1 else next(iter(answer.values()))

    @property
    def in_size(self) -> int:
        """The length of the vector that it takes. Raises: TypeError if it takes something else."""
        return length(self.inputs, [i.shape for i in self.inputs], "takes")

    @property
    def out_size(self) -> int:
        """The length of the vector that it gives. Raises: TypeError if it gives something else."""
        return length(self.outputs, [t.shape for _, t in self.graph().outputs], "gives")


def unused(name: str, taken: list[str]) -> str:
    made, count = name, 1
    while made in taken:
        count += 1
        made = f"{name}_{count}"
    return made


def dtype_of(name: object, where: str) -> np.dtype:
    known = {dtype.name: dtype for dtype in DTYPES}
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"GraphFunction.{where} is {str(name)[:40]!r}, not one of {', '.join(sorted(known))}.")
    return known[name]


def input_tensor(given: Input) -> Tensor:
    if not all(type(d) is int for d in given.shape):
        raise ValueError(f"GraphFunction.inputs[{given.name!r}] has shape {given.shape}. Give whole numbers.")
    return Tensor(given.shape, dtype_of(given.dtype, f"inputs[{given.name!r}]"), given.name)


def length(ports: Sequence[Input | Output], shapes: list[Shape], what: str) -> int:
    if len(shapes) != 1 or len(shapes[0]) != 1 or shapes[0][0] < 0:
        told = ", ".join(f"{port.name}{list(shape)}" for port, shape in zip(ports, shapes, strict=True))
        raise TypeError(f"The graph {what} {told}, which is not one vector. Only then can it stand for a layer.")
    return shapes[0][0]
