"""The guard against not-a-number: a pass that makes every target answer a broken observation in the same way.

Runtimes lose NaN: in argmax and max, in comparisons, in whatever becomes an integer. After this pass integers and
conditions have a NaN of their own, an *alarm* (`_alarm`) that is computed beside them:

- A comparison, a cast to an integer, a position (ArgMax, TopK) rings where the float it looked at is NaN.
- An alarm goes along with integers and conditions; where they meet floats again, the float becomes NaN.
- An integer output is `sentinel` (-1) where its alarm rings; a float output is NaN.
- The decision itself - the ArgMax or comparison whose result is an integer action - rings also for infinite logits, and
  a float action also where an infinite number goes into its last clip or squash (tanh, sigmoid).

Left alone: the author's own tests (`isnan`, `isfinite`, comparison with an infinity), an infinity that the policy
saturates on its way (a clipping normaliser, a tanh layer), and masking. Masks put -inf or a huge negative number where
an action is not legal, or add one, and may normalise after that; so an ArgMax looks at the logits *before* the
masking, before what is subtracted from all of them alike, and apart from the noise of a sampled action. A NaN logit
rings even if its action is not legal.
"""

from collections.abc import Sequence

import numpy as np

from perdure.graph import COMPARE, ELEMENTWISE, Graph, Node, Tensor, constant, emit, rebuilt

from ._alarm import Alarm, combined, is_quiet, poisoned, summed, where_nan, where_not_finite, widened
from ._analysis import (
    AFFINE,
    STRUCTURAL,
    carries,
    compared,
    deciding_nodes,
    is_float,
    is_masked,
    is_own_test,
    may_be_nan,
    squashing_chain,
)


class Guard:
    """Walks a graph and builds the guarded one."""

    def __init__(self, graph: Graph, actions: Sequence[str], sentinels: dict[str, int]):
        self.graph, self.actions, self.sentinels = graph, actions, sentinels
        self.suspects = may_be_nan(graph)
        self.deciding = deciding_nodes(graph, actions)
        chains = [squashing_chain(t) for name, t in graph.outputs if name in actions and is_float(t)]
        self.squashes = {id(chain[-1]) for chain in chains if chain}
        self.before: dict[int, Tensor] = {}  # what goes into each of them
        self.new: dict[int, Tensor] = {}
        self.alarms: dict[int, Alarm] = {}
        self.readers: dict[int, list[Node]] = {}
        for node in graph.nodes():
            for t in node.inputs:
                self.readers.setdefault(id(t), []).append(node)

    def at(self, t: Tensor) -> Tensor:
        return self.new.get(id(t), t)

    def alarm(self, t: Tensor) -> Alarm | None:
        return self.alarms.get(id(t))

    def run(self) -> Graph:
        for node in self.graph.nodes():
            made = self.made(node, [self.at(t) for t in node.inputs])
            alarm = self.rings(node)
            if is_float(node.out):
                made, alarm = poisoned(made, alarm), None
            self.new[id(node.out)] = made
            if alarm is not None:
                self.alarms[id(node.out)] = alarm
        outputs = [(name, self.output(name, t)) for name, t in self.graph.outputs]
        return Graph(self.graph.inputs, outputs)

    def made(self, node: Node, inputs: list[Tensor]) -> Tensor:
        """The node on new inputs; the action's squash apart from the layer it was fused into."""
        if id(node) not in self.squashes:
            return rebuilt(node, inputs).out
        if node.op not in ("Dense", "Conv"):
            self.before[id(node)] = next(t for t in inputs if not t.is_constant)
            return rebuilt(node, inputs).out
        plain = {**node.attrs, "activation": None}
        self.before[id(node)] = emit(node.op, *inputs, where=node.where, scope=node.scope, **plain)
        return emit(node.attrs["activation"], self.before[id(node)], where=node.where, scope=node.scope)

    def output(self, name: str, t: Tensor) -> Tensor:
        value, alarm = self.at(t), self.alarm(t)
        if is_float(t):
            return self.saturated(t, value) if name in self.actions else value
        if alarm is None or t.dtype == bool:
            return value
        sentinel = constant(np.asarray(self.sentinels.get(name, -1), t.dtype))
        return emit("Where", is_quiet(alarm), value, sentinel)

    def rings(self, node: Node) -> Alarm | None:
        """What to add to the node's output: alarms of its inputs, and its own if it loses a NaN."""
        x = node.inputs[0]
        inherited = self.inherited(node)
        if not is_float(x if node.op != "Where" else node.inputs[1]):
            return inherited
        match node.op:
            case op if op in COMPARE and not is_own_test(node):
                return combined([self.looked_at(node, t) for t in node.inputs])
            case "Cast" if not is_float(node.out):
                return self.looked_at(node, x)
            case "ArgMax":
                seen = self.looked_at(node, x)
                return seen and summed(seen, (node.attrs["axis"],), node.attrs["keep"])
            case "TopK" if id(x) in self.suspects:
                return summed(where_nan(self.at(x)), (x.rank - 1,), True)
            case "Reduce" if node.attrs["kind"] in ("max", "min") and id(x) in self.suspects:
                if self.is_shift(node):
                    return None  # x - max(x): the NaN of x is still there
                return summed(where_nan(self.at(x)), node.attrs["axes"], node.attrs["keep"])
            case "Pool" if node.attrs["kind"] == "max" and id(x) in self.suspects:
                y = emit("Pool", where_nan(self.at(x)).tensor, **{**node.attrs, "kind": "sum"})
                return Alarm(y, True)
        return inherited

    def is_shift(self, node: Node) -> bool:
        """Whether all that happens to a maximum is to be taken from what it is the maximum of."""
        is_output = any(t is node.out for _, t in self.graph.outputs)
        readers = self.readers.get(id(node.out), [])
        return not is_output and all(r.op == "Sub" and r.inputs[0] is node.inputs[0] for r in readers)

    def looked_at(self, node: Node, x: Tensor) -> Alarm | None:
        """A decision rings for what is not finite before masking, any other look at a float for NaN."""
        if x.is_constant:
            return None
        if id(node) in self.deciding:
            return self.unmasked(x) or where_not_finite(self.at(x))
        return where_nan(self.at(x)) if id(x) in self.suspects else None

    def inherited(self, node: Node) -> Alarm | None:
        """The alarms of integer and condition inputs, as they reach the output."""
        held = [self.alarm(t) for t in node.inputs]
        if not any(held):
            return None
        x, a = node.inputs[0], node.attrs
        if node.op == "Where" and is_float(node.out) and (test := compared(x)) is not None:
            looked = [t for t in test[0].inputs if not t.is_constant]
            if all(carries(node.inputs[1 if test[1] else 2], t) for t in looked):
                return None  # such as leaky_relu: where(x > 0, x, 0.1 * x)
        if node.op in ELEMENTWISE:
            return combined(held)
        if node.op in STRUCTURAL:
            return self.moved(node, held)
        first = held[0]
        if node.op in ("Reduce", "ArgMax") and first is not None:
            return summed(first, a["axes"] if node.op == "Reduce" else (a["axis"],), a["keep"])
        if node.op in ("CumSum", "TopK") and first is not None:
            return summed(first, (a["axis"] if node.op == "CumSum" else x.rank - 1,), True)
        if node.op == "Gather":
            return combined([self.read_at(node, held[1]), first and self.row(first, node)])
        return combined([alarm and self.row(alarm, node) for alarm in held])

    def moved(self, node: Node, held: Sequence[Alarm | None]) -> Alarm:
        full = [widened(alarm, t.shape) for alarm, t in zip(held, node.inputs, strict=True)]
        attrs = {**node.attrs, "value": 0.0} if node.op == "Pad" else node.attrs
        return Alarm(emit(node.op, *[f.tensor for f in full], **attrs), all(f.is_zero for f in full))

    def read_at(self, node: Node, alarm: Alarm | None) -> Alarm | None:
        """The alarm of the index of a Gather, where its entries land."""
        if alarm is None:
            return None
        x, index = node.inputs
        k, axis = node.attrs["batch_dims"], node.attrs["axis"]
        shape = (*index.shape[:k], *(1,) * (axis - k), *index.shape[k:], *(1,) * (x.rank - axis - 1))
        return Alarm(emit("Reshape", widened(alarm, index.shape).tensor, shape=shape), alarm.is_zero)

    def row(self, alarm: Alarm, node: Node) -> Alarm:
        """One alarm for the whole observation: always right, never narrow."""
        rank = alarm.tensor.rank
        is_batched = rank > 0 and alarm.tensor.shape[0] == node.out.shape[0]
        total = summed(alarm, tuple(range(int(is_batched), rank)), False)
        shape = (*node.out.shape[: int(is_batched)], *(1,) * (node.out.rank - int(is_batched)))
        return Alarm(emit("Reshape", total.tensor, shape=shape), alarm.is_zero)

    def unmasked(self, x: Tensor) -> Alarm | None:
        """The alarm of the logits before masking; None where there is no masking on the way."""
        node = x.node
        if node is None:
            return None
        if node.op == "Where":
            sides = [self.unmasked(t) or where_not_finite(self.at(t)) for t in node.inputs[1:] if not t.is_constant]
            return combined([*sides, self.alarm(node.inputs[0])]) or widened(None, x.shape)
        if node.op in ("Add", "Sub"):
            logits, other = node.inputs
            if node.op == "Add" and id(logits) not in self.suspects:
                logits, other = other, logits
            is_penalty = id(other) not in self.suspects or id(other) in self.mask_only()
            is_common = node.op == "Sub" and other.rank == logits.rank and other.shape != logits.shape == x.shape
            if (is_penalty and not other.is_constant) or is_common:
                return self.unmasked(logits) or where_not_finite(self.at(logits))
            if any(is_masked(t) for t in node.inputs):  # with noise added: each part before masking
                return combined([self.unmasked(t) or where_not_finite(self.at(t)) for t in node.inputs])
        if node.op == "Neg" or (node.op in AFFINE and any(t.is_constant for t in node.inputs)):
            return self.unmasked(next(t for t in node.inputs if not t.is_constant))
        if node.op in STRUCTURAL:
            inner = [self.unmasked(t) for t in node.inputs]
            if any(part is not None for part in inner):
                plain = [None if t.is_constant else where_not_finite(self.at(t)) for t in node.inputs]
                return self.moved(node, [a or b for a, b in zip(inner, plain, strict=True)])
        return None

    def mask_only(self) -> set[int]:
        """Tensors that depend on no float input, whatever constants they are made of: penalties for illegal actions."""
        if not hasattr(self, "_mask_only"):
            floats = {id(t) for t in self.graph.inputs if is_float(t)}
            self._mask_only: set[int] = set()
            for node in self.graph.nodes():
                if any(id(t) in floats for t in node.inputs):
                    floats.add(id(node.out))
                else:
                    self._mask_only.add(id(node.out))
        return self._mask_only

    def saturated(self, t: Tensor, value: Tensor) -> Tensor:
        """A float action: NaN where what goes into its last clip or squash is not finite."""
        chain = squashing_chain(t)
        if not chain:
            return value
        zero = emit("Mul", self.before[id(chain[-1])], constant(np.float32(0)))
        return emit("Add", value, self.replayed(chain[:-1], zero))

    def replayed(self, chain: Sequence[Node], x: Tensor) -> Tensor:
        """Another value where the chain, from its far end, takes what goes into it: moved and widened, not computed with."""
        for node in reversed(chain):
            if node.op in STRUCTURAL:
                x = emit(node.op, x, where=node.where, scope=node.scope, **node.attrs)
            elif x.shape != node.out.shape:
                x = emit("Broadcast", x, shape=node.out.shape)
        return x


def add_nan_guard(graph: Graph, actions: Sequence[str] = ("action",), sentinels: dict[str, int] | None = None) -> Graph:
    """The graph with the guard of this module's docstring; `actions` are the outputs that are (parts of) the action."""
    return Guard(graph, actions, sentinels or {}).run()
