"""Single faults of an exporter, as data: what is wrong, in which target and policy. The proof has to refuse each.

`python -m tests.support.export.mutations` prints the table of docs/mutations.md; `tests/export/test_mutations.py` tries them.
"""

import dataclasses
import functools
import importlib
import operator
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

import perdure.export._export as exporting
from perdure._core import ExportError
from perdure.export.program import ExportOptions, Program, lower
from perdure.export.proof import Case, Reference, make_case
from perdure.export.targets import TARGETS, Target
from perdure.graph import Graph, Node, Tensor, constant, emit, name_tensors, rebuilt
from perdure.space import Box, Dict, Discrete
from tests.support.export.faulty import Change, rewired
from tests.support.export.in_process import InProcessRunner
from tests.support.export.policies import OBSERVATION, POLICIES, Memory, Recurrent, Squashed, Stateless, mlp

NUM_OBSERVATIONS = 200
SHORT = Box(-3.0, 3.0, (4,))
RULES = "perdure.export.targets.{}._rules"
Edit = Callable[[Program], Program]
Patch = Callable[[pytest.MonkeyPatch], None]


class Operators(Stateless):
    """Each operator has entries of the action to itself."""

    def choose(self, observation, action_mask):
        x, y = observation, observation[::-1] * 0.7
        parts = [
            *(jnp.maximum(x, y), jnp.minimum(x, y), jnp.where(x > 0.2, x + 1, y), jnp.floor(x), jnp.round(x)),
            *(jnp.abs(x), jnp.sin(x), jnp.cos(x), jnp.exp(y), jnp.sqrt(jnp.abs(x)), jnp.log(jnp.abs(x) + 1)),
            *(
                jnp.tanh(x),
                jax.nn.sigmoid(x),
                jax.nn.relu(x),
                jnp.cumsum(x),
                jax.nn.softmax(x),
                jnp.sort(x),
                x / (4 + y),
            ),
            *(x.max()[None], x.min()[None], x.sum()[None], jnp.where((x > 0.1) & (y > 0.1), 1.0, 0.0)),
        ]
        return jnp.concatenate(parts)


class Signs(Stateless):
    def choose(self, observation, action_mask):
        return jnp.sign(observation)


class PlainNetwork(Stateless):
    def choose(self, observation, action_mask):
        return self.net(observation)


class Loud(Stateless):
    """Reaches its bounds."""

    def choose(self, observation, action_mask):
        return jnp.clip(self.net(observation) * 20, self.action_space.low, self.action_space.high)


class Steps(Stateless):
    """A threshold on a whole number, where less and less or equal part."""

    def choose(self, observation, action_mask):
        return (observation < 3).astype(jnp.int32).sum()


class Equals(Stateless):
    """Two logits are always the same."""

    def choose(self, observation, action_mask):
        logits = self.net(observation)
        return jnp.argmax(jnp.stack([logits[0], logits[1], logits[0]]))


class TwoParts(Stateless):
    """Of two inputs of one shape."""

    def choose(self, observation, action_mask):
        return self.net(jnp.concatenate([observation["a"], observation["b"]]))


class Remembering(Recurrent):
    """Its memory does not begin with zeros."""

    def reset(self, *, key):
        return Memory(jnp.linspace(-0.5, 0.9, 8))


def remembering() -> Remembering:
    cell, head = eqx.nn.GRUCell(4, 8, key=jr.key(1)), eqx.nn.Linear(8, 2, key=jr.key(2))
    return Remembering(SHORT, Box(-2.0, 2.0, (2,)), cell, head)


MADE: dict[str, Callable[[], Any]] = POLICIES | {
    "relu": lambda: PlainNetwork(SHORT, Box(-np.inf, np.inf, (2,)), mlp(4, 2, 0, jax.nn.relu)),
    "linear": lambda: Squashed(OBSERVATION, Box(-2.0, 2.0, (2,)), eqx.nn.Linear(4, 2, key=jr.key(1))),
    "loud": lambda: Loud(SHORT, Box(-2.0, 2.0, (2,)), mlp(4, 2)),
    "operators": lambda: Operators(SHORT, Box(-np.inf, np.inf, (79,)), None),
    "masked": POLICIES["discrete"],
    "steps": lambda: Steps(Box(0, 6, (4,), np.int32), Discrete(5), None),
    "equals": lambda: Equals(SHORT, Discrete(3), mlp(4, 2)),
    "signs": lambda: Signs(SHORT, Box(-1.0, 1.0, (4,)), None),
    "pair": lambda: TwoParts(Dict(a=Box(-1, 1, (3,)), b=Box(-1, 1, (3,))), Box(-np.inf, np.inf, (2,)), mlp(6, 2)),
    "remembering": remembering,
}


@dataclasses.dataclass(frozen=True)
class Fault:
    """`edit` is done to the program that the writer is given, `patch` to the code while it writes (`whole`: traces too)."""

    name: str
    policy: str
    target: str
    edit: Edit | None = None
    patch: Patch | None = None
    whole: bool = False
    survives: str = ""  # why the proof does not see it

    @property
    def title(self) -> str:
        return f"{self.target}: {self.name}"


# What a writer might have done to the graph.


def in_graph(change: Change, most: int | None = None) -> Edit:
    """The program with nodes changed: `change` gives the new tensor, or None for the node as it is; `most` of them."""

    def edit(program: Program) -> Program:
        done = 0

        def counted(node: Node, inputs: list[Tensor]) -> Tensor | None:
            nonlocal done
            made = change(node, inputs) if most is None or done < most else None
            done += made is not None
            return made

        graph = rewired(program.graph, counted)
        assert done, "the fault is nowhere in this program"
        return dataclasses.replace(program, graph=graph)

    return edit


def with_attrs(op: str, **attrs: Any) -> Edit:
    """The first node of this kind has other attributes; a callable is given the old value."""

    def change(node: Node, inputs: list[Tensor]) -> Tensor | None:
        if node.op != op:
            return None
        new = {k: v(node.attrs[k]) if callable(v) else v for k, v in attrs.items()}
        return emit(op, *inputs, **{**node.attrs, **new})

    return in_graph(change, 1)


def with_inputs(op: str, change: Callable[[list[Tensor]], Sequence[Tensor]]) -> Edit:
    """The first node of this kind reads something else."""
    return in_graph(lambda node, x: emit(op, *change(x), **node.attrs) if node.op == op else None, 1)


def as_other(op: str, other: str) -> Edit:
    """The first node of this kind is another operator."""
    return in_graph(lambda node, x: emit(other, *x) if node.op == op else None, 1)


def skipped(op: str) -> Edit:
    """The first node of this kind that changes no shape is left out."""
    return in_graph(lambda node, x: x[0] if node.op == op and x[0].shape == node.out.shape else None, 1)


def with_weight(place: int, change: Callable[[np.ndarray], np.ndarray], op: str = "Dense") -> Edit:
    def changed(inputs: list[Tensor]) -> list[Tensor]:
        value = np.asarray(change(inputs[place].value.copy()), inputs[place].value.dtype)
        return [*inputs[:place], constant(value, inputs[place].name), *inputs[place + 1 :]]

    return with_inputs(op, changed)


def with_constant(old: float, new: float) -> Edit:
    """Every number `old` among the constants of the graph is `new`."""

    def change(node: Node, inputs: list[Tensor]) -> Tensor | None:
        found = [
            t.is_constant and t.value.size == 1 and np.array_equal(t.value.ravel(), [old], equal_nan=np.isnan(old))
            for t in inputs
        ]
        if not any(found):
            return None
        new_inputs = [constant(np.full_like(t.value, new)) if hit else t for t, hit in zip(inputs, found, strict=True)]
        return emit(node.op, *new_inputs, **node.attrs)

    return in_graph(change)


def entry_added(value: np.ndarray) -> np.ndarray:
    value.ravel()[0] += 0.05
    return value


def unguarded(program: Program) -> Program:
    return dataclasses.replace(program, graph=name_tensors(program.plain))


def renamed_inputs(program: Program) -> Program:
    """The first two inputs are taken for each other."""
    first, second = program.graph.inputs[:2]
    swap = {id(first): second, id(second): first}
    graph = rewired(program.graph, lambda node, x: rebuilt(node, [swap.get(id(t), t) for t in x]).out)
    return dataclasses.replace(program, graph=graph)


def memory_kept(program: Program) -> Program:
    """The memory goes out as it came in."""
    given = {f"next_{t.name}": t for t in program.graph.inputs}
    outputs = [(name, given.get(name, t)) for name, t in program.graph.outputs]
    return dataclasses.replace(program, graph=name_tensors(Graph(program.graph.inputs, outputs)))


def start_of_zeros(program: Program) -> Program:
    zeros = {name: np.zeros_like(x) for name, x in program.signature.initial_state.items()}
    return dataclasses.replace(program, signature=dataclasses.replace(program.signature, initial_state=zeros))


def negative(x: list[Tensor]) -> list[Tensor]:
    return [emit("Neg", x[0]), *x[1:]]


def turned(x: list[Tensor]) -> list[Tensor]:
    return x[::-1]


def first_side(node: Node, x: list[Tensor]) -> Tensor | None:
    return x[1] if node.op == "Where" and node.out.dtype == np.float32 else None


def mean_for_sum(node: Node, x: list[Tensor]) -> Tensor | None:
    is_sum = node.op == "Reduce" and node.attrs["kind"] == "sum"
    return emit("Mul", emit("Reduce", *x, **node.attrs), constant(np.float32(0.25))) if is_sum else None


def smallest(node: Node, x: list[Tensor]) -> Tensor | None:
    return emit("Reduce", *x, **{**node.attrs, "kind": "min"}) if node.attrs.get("kind") == "max" else None


GRAPH_FAULTS: list[tuple[str, str, Edit]] = [
    ("one weight 0.05 off", "relu", with_weight(1, entry_added)),
    ("weights in float16", "relu", with_weight(1, lambda w: w.astype(np.float16))),
    ("weights of one layer times 1.001", "relu", with_weight(1, lambda w: w * np.float32(1.001))),
    ("rows of the weights in another order", "relu", with_weight(1, lambda w: w[::-1])),
    ("a layer without its bias", "relu", with_inputs("Dense", lambda x: x[:2])),
    ("bias with the wrong sign", "relu", with_weight(2, lambda b: -b)),
    ("a layer without its activation", "relu", with_attrs("Dense", activation=None)),
    ("tanh for relu", "relu", with_attrs("Dense", activation="Tanh")),
    ("sigmoid for tanh", "continuous", with_attrs("Dense", activation="Sigmoid")),
    ("the upper bound of the action too high", "loud", with_attrs("Clip", hi=2.5)),
    ("the lower bound of the action too high", "loud", with_attrs("Clip", lo=-0.05)),
    ("observations are not clipped", "normalized", skipped("Clip")),
    ("observations are clipped at 5, not 10", "normalized", with_attrs("Clip", lo=-5.0, hi=5.0)),
    ("the mean is added", "normalized", in_graph(lambda n, x: emit("Add", *x) if n.op == "Sub" else None, 1)),
    ("the mean is not taken away", "normalized", skipped("Sub")),
    ("the deviation multiplies", "normalized", as_other("Div", "Mul")),
    ("the deviation is left out", "normalized", skipped("Div")),
    ("the smallest logit is chosen", "discrete", with_inputs("ArgMax", negative)),
    ("the start of the actions is forgotten", "started", with_constant(-2, 0)),
    ("the mask is turned round", "masked", with_inputs("Where", lambda x: [x[0], x[2], x[1]])),
    ("the mask is not looked at", "masked", in_graph(first_side)),
    ("no guard", "discrete", unguarded),
    ("no guard", "linear", unguarded),
    ("no guard", "bits", unguarded),
    ("a lost action is 0, not -1", "discrete", with_constant(-1, 0)),
    ("the guard gives 0 for NaN", "operators", with_constant(np.nan, 0.0)),
    ("two inputs for each other", "pair", renamed_inputs),
    ("parts of the observation in another order", "pair", with_inputs("Concat", turned)),
    ("the memory stays as it is", "recurrent", memory_kept),
    ("the memory loses its sign", "remembering", with_inputs("Tanh", negative)),
    ("minimum for maximum", "operators", as_other("Max", "Min")),
    ("maximum for minimum", "operators", as_other("Min", "Max")),
    ("the sides of a choice for each other", "operators", with_inputs("Where", lambda x: [x[0], x[2], x[1]])),
    ("less or equal for less", "steps", as_other("Lt", "Le")),
    ("floor for round", "operators", as_other("Round", "Floor")),
    ("ceiling for floor", "operators", as_other("Floor", "Ceil")),
    ("cosine for sine", "operators", as_other("Sin", "Cos")),
    ("a sum from the other end", "operators", with_attrs("CumSum", reverse=True)),
    ("the largest last", "operators", with_attrs("TopK", largest=operator.not_)),
    ("a mean for a sum", "operators", in_graph(mean_for_sum)),
    ("the smallest for the largest entry", "operators", in_graph(smallest)),
    ("or for and", "operators", as_other("And", "Or")),
    ("what is divided for what divides", "operators", with_inputs("Div", turned)),
    ("the image is not divided by 255", "convolution", skipped("Div")),
    ("a kernel on its head", "convolution", with_weight(1, lambda w: w[:, :, ::-1], "Conv")),
    ("a convolution without its relu", "convolution", with_attrs("Conv", activation=None)),
]  # fmt: skip


# What may be wrong in the code that writes.


def entry_as(module: str, table: str, key: str, value: Any = None, like: str = "") -> Patch:
    """Another entry in a table of the writer: that of `like`, or the value."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        held = functools.reduce(getattr, table.split("."), importlib.import_module(module))
        monkeypatch.setitem(held, key, held[like] if like else value)

    return patch


def onnx_as(kind: str, change: Callable[..., tuple[str, tuple[str, ...], dict[str, Any]]]) -> Patch:
    """`change(inputs, attributes)` gives what is written for each ONNX operator of this kind."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        from perdure.export.targets.onnx._write import Writer

        plain = Writer.op

        def op(self: Writer, name: str, *inputs: str, out: str | None = None, **attrs: Any) -> str:
            if name == kind:
                name, inputs, attrs = change(inputs, attrs)
            return plain(self, name, *inputs, out=out, **attrs)

        monkeypatch.setattr(Writer, "op", op)

    return patch


WEIGHTS, TORCH, TFLITE, TFJS = (RULES.format(name) for name in ("weights", "torch", "tflite", "tfjs"))
C = "perdure.export.targets.c._elementwise"
NUMPY_TABLE = [
    ("Max", "np.minimum({0}, {1})"), ("Where", "np.where({0}, {2}, {1})"), ("Round", "np.floor({0} + 0.5)"),
    ("Sigmoid", "np.tanh({0})"), ("Div", "{1} / {0}"), ("And", "{0} | {1}"),
]  # fmt: skip
C_TABLE = [
    ("FLOAT", "Max", "({0} > {1} ? {0} : {1})"), ("FLOAT", "Min", "max_f({0}, {1})"), ("FLOAT", "Round", "roundf({0})"),
    ("FLOAT", "Sign", "copysignf(1.0f, {0})"), ("FLOAT", "Log", "log2f({0})"), ("FLOAT", "Sqrt", "({0} * 0.5f)"),
    ("FLOAT", "Floor", "(float)(int){0}"), ("FLOAT", "Exp", "(1.0f + {0})"), ("ANY", "Where", "({0} ? {2} : {1})"),
    ("ANY", "And", "({0} || {1})"),
]  # fmt: skip
LIKE = [("Max", "Min"), ("Sin", "Cos"), ("Floor", "Ceil"), ("Tanh", "Sigmoid"), ("And", "Or"), ("Abs", "Neg")]
ONNX_FAULTS: list[tuple[str, str, Patch]] = [
    ("Relu is LeakyRelu", "relu", onnx_as("Relu", lambda x, a: ("LeakyRelu", x, a))),
    ("Gemm scales by 1.01", "relu", onnx_as("Gemm", lambda x, a: ("Gemm", x, {**a, "alpha": 1.01}))),
    ("Gemm forgets the bias", "relu", onnx_as("Gemm", lambda x, a: ("Gemm", x[:2], a))),
    ("Clip forgets the upper bound", "loud", onnx_as("Clip", lambda x, a: ("Clip", x[:2], a))),
    ("ArgMax takes the last of equals", "equals", onnx_as("ArgMax", lambda x, a: ("ArgMax", x, {**a, "select_last_index": 1}))),
    ("ArgMax is ArgMin", "discrete", onnx_as("ArgMax", lambda x, a: ("ArgMin", x, a))),
    ("Softmax over the batch", "operators", onnx_as("Softmax", lambda x, a: ("Softmax", x, {**a, "axis": 0}))),
    ("CumSum leaves its entry out", "operators", onnx_as("CumSum", lambda x, a: ("CumSum", x, {**a, "exclusive": 1}))),
    ("Transpose turns the image", "convolution", onnx_as("Transpose", lambda x, a: ("Transpose", x, {"perm": (0, 3, 2, 1)}))),
    ("Greater or equal for less", "operators", onnx_as("Less", lambda x, a: ("GreaterOrEqual", x, a))),
]  # fmt: skip


# What may be wrong before any target writes: the policy in JAX is then another than the graph.


def lowered_as(primitive: str, like: str) -> Patch:
    return entry_as("perdure.export.trace._lowering", "RULES", primitive, like=like)


TRACE_FAULTS = [
    *[("max", "min"), ("floor", "ceil"), ("sin", "cos"), ("gt", "ge"), ("gt", "lt"), ("abs", "neg"), ("exp", "tanh")],
    *[("sqrt", "abs"), ("cumsum", "neg"), ("tanh", "logistic"), ("add", "sub")],
]  # fmt: skip


ROTATION = ("onnx", "c", "weights", "stablehlo", "tflite", "torchscript")


def faults() -> list[Fault]:
    """All of them. Those of the graph go round the targets, each in two."""
    found = []
    for k, (name, policy, edit) in enumerate(GRAPH_FAULTS):
        for target in (ROTATION[k % 6], ROTATION[(k + 3) % 6]):
            found.append(Fault(name, policy, target, edit=edit))
    found += [Fault(name, policy, "onnx", patch=patch) for name, policy, patch in ONNX_FAULTS]
    found += [
        Fault(f"{op} is {text}", "operators", "weights", patch=entry_as(WEIGHTS, "SYMBOLS", op, text))
        for op, text in NUMPY_TABLE
    ]
    found += [
        Fault(f"{op} is {text}", "signs" if op == "Sign" else "operators", "c", patch=entry_as(C, table, op, text))
        for table, op, text in C_TABLE
    ]
    for op, other in LIKE:
        tables = (("torchscript", TORCH, "FUNCTIONS"), ("tflite", TFLITE, "SAME"), ("tfjs", TFJS, "SAME"))
        for target, module, table in tables:
            if target != "tflite" or op != "Max":
                patch = entry_as(module, table, op, like=other)
                found.append(Fault(f"{op} is {other}", "operators", target, patch=patch))
    for k, (primitive, like) in enumerate(TRACE_FAULTS):
        patch = lowered_as(primitive, like)
        why = EXACT if like == "ge" else ""
        found.append(Fault(f"{primitive} traced as {like}", "operators", ROTATION[k % 6], None, patch, True, why))
    found.append(Fault("policy_reset writes zeros", "remembering", "c", edit=start_of_zeros))
    found.append(Fault("initial memory of zeros", "remembering", "weights", edit=start_of_zeros))
    return found


EXACT = "they part only where an observation is exactly the policy's threshold, and no row is"


@functools.cache
def made(policy: str) -> tuple[Any, Program, Reference, Case, ExportOptions]:
    """A policy, traced, with what it is asked: once for all of its faults."""
    options = ExportOptions(num_observations=NUM_OBSERVATIONS, action_mask=policy == "masked")
    found = MADE[policy]()
    program = lower(found, options)
    reference = Reference(program)
    return found, program, reference, make_case(found, program, reference, options, 0), options


def prove(policy: str, target: Target, edit: Edit | None = None) -> None:
    """Write one target from the kept program, edited, and prove it. Raises: ExportError where an answer differs."""
    _, program, reference, case, options = made(policy)
    edited = (lambda *a: target.write(edit(a[0]), *a[1:])) if edit else target.write
    wrong = dataclasses.replace(target, write=edited)
    runners: Any = {target.name: InProcessRunner(target.runner)}
    with tempfile.TemporaryDirectory() as folder:
        exporting.prove(
            {"float32": program}, case, reference, [wrong], runners, Path(folder), options.name, {}
        )  # fmt: skip


def prove_whole(policy: str, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    found, *_, options = made(policy)
    monkeypatch.setattr(exporting, "Runner", InProcessRunner)
    with tempfile.TemporaryDirectory() as folder:
        exporting.write_and_prove(found, Path(folder), [target], options)


def refusal(fault: Fault) -> str | None:
    """What the proof says of an export with this fault; None if it takes it for the policy."""
    target = TARGETS[fault.target]
    made(fault.policy)  # right, before anything is patched
    with pytest.MonkeyPatch.context() as monkeypatch:
        if fault.patch is not None:
            fault.patch(monkeypatch)
        try:
            if fault.whole:
                prove_whole(fault.policy, target, monkeypatch)
            else:
                prove(fault.policy, target, fault.edit)
        except ExportError as error:
            return str(error)
    return None


def table() -> list[str]:
    """A line of the docs for each fault."""
    head = ["| target | policy | fault | the proof |", "|---|---|---|---|"]
    rows = [
        (f.target, f.policy, f"`{f.name}`".replace("|", "or"), f.survives and f"**lets it through**: {f.survives}")
        for f in faults()
    ]
    return head + [f"| `{target}` | {policy} | {name} | {said or 'refuses'} |" for target, policy, name, said in rows]


def main() -> None:
    print("\n".join(table()))


if __name__ == "__main__":
    main()
