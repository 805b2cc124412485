"""A pure function to a graph: one trace with a symbolic batch, then one rule for each primitive.

`jax.vmap` does the batching: it turns branches into selections and indexing into gathers. Whatever depends on no input
is executed by JAX here, so the rules only see values that depend on an input; what no output needs is never an error,
so the checks of `eqx.error_if` fall away.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax import export as jax_export
from jax.extend.core import ClosedJaxpr, Jaxpr

from perdure._core import ExportError
from perdure.graph import DTYPES, Graph, Node, Shape, Tensor, constant, emit

from . import _lower_control, _lower_elementwise, _lower_index, _lower_linear, _lower_shape
from ._advice import advice
from ._lower_control import callbacks, equations, is_equinox_check
from ._lowering import RULES, Builder, Equation, integer_dtype, is_key
from ._source import user_line

CALLS = {
    "jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr", "checkpoint": "jaxpr",
    "remat": "jaxpr", "remat2": "jaxpr", "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr", "custom_lin": "call_jaxpr",
}  # fmt: skip
IDENTITY = {"stop_gradient", "copy", "copy_p", "sharding_constraint", "optimization_barrier", "name"}
RANDOM = {"random_bits", "threefry2x32", "rng_bit_generator", "rng_uniform"}
CONTROL = {"scan", "cond", "while", "platform_index"}
LOWERING_MODULES = (_lower_control, _lower_elementwise, _lower_index, _lower_linear, _lower_shape)  # fill RULES

Spec = tuple[tuple[int, ...], Any]  # shape without the batch, dtype


def leaf_names(tree: Any) -> dict[int, str]:
    """`actor.layers.0.weight` for each array of a module, by identity: a jaxpr's constants are the same objects."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0] if tree is not None else []
    return {id(leaf): jax.tree_util.keystr(path, simple=True, separator=".") for path, leaf in leaves}


def trace(
    function: Callable[..., Any],
    inputs: Mapping[str, Spec],
    outputs: Sequence[str],
    names_from: Any = None,
    *,
    widened: Sequence[str] = (),
) -> Graph:
    """The graph of `function(*one_item)`, which gives one array or a tuple of them, over a batch of items.

    `names_from` is a module whose leaf paths become the names of the constants. `widened` are inputs that hold numbers of a
    narrower dtype: where the function casts one to that and on to another, it is cast to the other at once.

    Raises: ExportError that names the primitive, the user's line and what to write instead.
    """
    for name, (_, dtype) in inputs.items():
        check_input_dtype(name, np.dtype(dtype))
    closed, batch = batched_jaxpr(function, inputs)
    tracer = Tracer(batch, leaf_names(names_from))
    arguments = [
        Tensor(tracer.shape(v.aval.shape), np.dtype(v.aval.dtype), name)
        for name, v in zip(inputs, closed.jaxpr.invars, strict=True)
    ]
    tracer.widened = {id(argument) for argument in arguments if argument.name in widened}
    results = tracer.run(closed.jaxpr, [tracer.constant(c) for c in closed.consts], arguments)
    graph = Graph(arguments, list(zip(outputs, results, strict=True)))
    for node in graph.nodes():
        if node.op == "Unsupported":
            raise ExportError(f"{node.attrs['line']}: {node.attrs['message']}")
        if id(node.out) in tracer.narrowed:
            given = tracer.narrowed[id(node.out)][1]
            raise ExportError(
                f"the policy computes with '{given.name}' in {node.out.dtype}, which no target has. Cast it in the policy first: "
                f"observation.astype({given.dtype})."
            )
        check_dtype(node)
    return graph


def check_input_dtype(name: str, dtype: np.dtype) -> None:
    if dtype not in DTYPES:
        raise ExportError(
            f"input '{name}' has dtype {dtype}; exports take bool, int8, uint8, int32 and float32. "
            "Give the observation space one of these dtypes (the runtime's caller converts)."
        )


def check_dtype(node: Node) -> None:
    if node.out.dtype not in DTYPES:
        mend = "Cast to float32." if node.out.dtype.kind in "fVc" else "Cast to int32."
        raise ExportError(f"{node.where}: dtype {node.out.dtype} cannot be exported. {mend}")


def batched_jaxpr(function: Callable[..., Any], inputs: Mapping[str, Spec]) -> tuple[Any, Any]:
    (batch,) = jax_export.symbolic_shape("b")
    specs = [jax.ShapeDtypeStruct((batch, *shape), dtype) for shape, dtype in inputs.values()]
    try:
        return jax.make_jaxpr(jax.vmap(function))(*specs), batch
    except Exception as error:
        explain_failure(function, inputs, error)
        raise


def explain_failure(function: Callable[..., Any], inputs: Mapping[str, Spec], error: Exception) -> None:
    """JAX's own failure at a callback under a symbolic batch, in our words. The user's own errors stay as they are."""
    single = jax.make_jaxpr(function)(*[jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in inputs.values()])
    for eqn in callbacks(single.jaxpr):
        if not is_equinox_check(eqn):
            name = eqn.primitive.name
            message = f"{user_line(eqn.source_info)}: primitive '{name}' cannot be exported. {advice(name)}"
            raise ExportError(message) from error
    raise ExportError(
        f"the policy runs on one observation but not under jax.vmap, which every export needs: {type(error).__name__}: "
        f"{error}. Write it so that jax.vmap(policy) works."
    ) from error


class Tracer(Builder):
    """Walks a jaxpr and lowers each equation."""

    def __init__(self, batch: Any, names: dict[int, str]):
        self.batch, self.names = batch, names
        self.widened: set[int] = set()  # inputs, by identity
        self.narrowed: dict[
            int, tuple[Tensor, Tensor]
        ] = {}  # by identity: such an input in its narrower dtype, and itself

    def shape(self, dims: Sequence[Any]) -> Shape:
        return tuple(self.dimension(d) for d in dims)

    def dimension(self, d: Any) -> int:
        if isinstance(d, int | np.integer):
            return int(d)
        multiple = d // self.batch
        if not isinstance(multiple, int | np.integer) or multiple * self.batch != d:
            raise ExportError(f"a dimension of {d} is not a multiple of the batch size b")
        return -int(multiple)

    def constant(self, value: Any) -> Tensor:
        name = self.names.get(id(value), "")
        if is_key(value):  # stays a JAX value until it is folded away
            return Tensor(tuple(value.shape), value.dtype, name, value)
        array = np.asarray(value)
        return constant(array.astype(integer_dtype(array.dtype)), name)

    def inline(self, closed: ClosedJaxpr | Jaxpr, inputs: Sequence[Tensor]) -> list[Tensor]:
        consts = [self.constant(c) for c in getattr(closed, "consts", [])]
        jaxpr = closed.jaxpr if isinstance(closed, ClosedJaxpr) else closed
        return self.run(jaxpr, consts, inputs, self.where, self.scope)

    def run(
        self, jaxpr: Jaxpr, consts: Sequence[Tensor], inputs: Sequence[Tensor], site: str = "", scope: str = ""
    ) -> list[Tensor]:
        values: dict[Any, Tensor] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *inputs], strict=True))

        def read(v: Any) -> Tensor:
            return self.constant(np.asarray(v.val, v.aval.dtype)) if hasattr(v, "val") else values[v]

        for eqn in jaxpr.eqns:
            # A cached inner jaxpr (jnp.where, ...) remembers the line that traced it first: trust the outermost call.
            self.where = site or user_line(eqn.source_info)
            inner = str(eqn.source_info.name_stack).replace("vmap(", "").replace(")", "")
            self.scope = "/".join(s for s in (scope, *inner.split("/")) if s)
            here, deep = self.where, self.scope
            results = self.equation(eqn, [read(v) for v in eqn.invars])
            self.where, self.scope = here, deep
            values.update(zip(eqn.outvars, results, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def equation(self, eqn: Equation, inputs: list[Tensor]) -> list[Tensor]:
        name = eqn.primitive.name
        if name in CALLS:
            return self.inline(eqn.params[CALLS[name]], inputs)
        if name in IDENTITY:
            return inputs
        broken = next((t.node for t in inputs if t.node is not None and t.node.op == "Unsupported"), None)
        if broken is not None and name != "cond":
            return self.unsupported(eqn, broken.attrs["message"], broken.attrs["line"])
        if name in RANDOM or (name in CONTROL and self.draws(eqn)):
            return self.unsupported(eqn, f"primitive '{name}' draws random numbers. {advice('random_bits')}")
        if self.is_foldable(eqn, inputs):
            return self.fold(eqn, inputs)
        if name == "convert_element_type":
            inputs = [self.narrowed[id(t)][1] if id(t) in self.narrowed else t for t in inputs]
        rule = RULES.get(name)
        if rule is None:
            return self.unsupported(eqn, f"primitive '{name}' cannot be exported. {advice(name)}")
        try:
            out = rule(self, eqn, *inputs)
        except ExportError as error:
            return self.unsupported(eqn, f"primitive '{name}' {error} and cannot be exported. {advice(name)}")
        is_given = name == "convert_element_type" and id(inputs[0]) in self.widened
        if is_given and isinstance(out, Tensor) and out.dtype not in DTYPES:
            self.narrowed[id(out)] = out, inputs[0]
        return out if isinstance(out, list) else [out]

    def draws(self, eqn: Equation) -> bool:
        inner: list[Any] = [
            getattr(j, "jaxpr", j) for p in eqn.params.values() for j in (p if isinstance(p, tuple) else (p,))
        ]
        return any(e.primitive.name in RANDOM for j in inner if hasattr(j, "eqns") for e in equations(j))

    def is_foldable(self, eqn: Equation, inputs: list[Tensor]) -> bool:
        if eqn.primitive.name == "platform_index" or not all(t.is_constant for t in inputs):
            return False
        if any(not isinstance(d, int) for v in eqn.outvars for d in getattr(v.aval, "shape", ())):
            return False
        return not (eqn.primitive.name in CONTROL and self.has_callback(eqn))

    def has_callback(self, eqn: Equation) -> bool:
        branches = eqn.params.get("branches", ())
        return any(callbacks(b.jaxpr) for b in branches)

    def fold(self, eqn: Equation, inputs: list[Tensor]) -> list[Tensor]:
        """Execute it now, with JAX, in the dtypes that JAX expects."""
        arrays = [
            t.value if is_key(t.value) else np.asarray(t.value, v.aval.dtype)
            for t, v in zip(inputs, eqn.invars, strict=True)
        ]
        results = eqn.primitive.bind(*arrays, **eqn.params)
        out = [self.constant(r) for r in (results if eqn.primitive.multiple_results else [results])]
        if len(inputs) == 1 == len(out) and not out[0].name:
            out[0].name = inputs[0].name  # a reshaped weight keeps its name
        return out

    def unsupported(self, eqn: Equation, message: str, line: str | None = None) -> list[Tensor]:
        """A poisoned value: harmless unless an output depends on it."""
        dummy = constant(np.int32(0))
        return [
            emit(
                "Unsupported",
                dummy,
                where=self.where,
                shape=self.shape(getattr(v.aval, "shape", ())),
                dtype=np.dtype(np.float32) if is_key(v.aval) else v.aval.dtype,
                message=message,
                line=line or self.where,
            )
            for v in eqn.outvars
        ]
