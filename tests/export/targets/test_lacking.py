"""An operator that a writer has no rule for: an ExportError that names operator, target and mend, and no file."""

import dataclasses

import numpy as np
import pytest

import perdure.graph._operators as operators
from perdure._core import ExportError
from perdure.export.program import lower
from perdure.export.targets import TARGETS
from perdure.graph import Graph, Node, Tensor, constant, emit
from tests.support.export.policies import continuous

F = np.float32
WRITERS = [name for name in TARGETS if name != "stablehlo"]  # each that has rules; `stablehlo` runs the graph in JAX


def program_with(change):
    """The program of a policy, its action changed by nodes of a graph."""
    program = lower(continuous())
    graph = Graph(program.graph.inputs, [(name, change(t)) for name, t in program.graph.outputs])
    return dataclasses.replace(program, plain=graph, graph=graph)


def unknown(t):
    """A function of one array that nobody has heard of."""
    node = Node("Softplus", [t], {}, where="policy.py:7")
    node.out = Tensor(t.shape, t.dtype, "softened", node=node)
    return node.out


def layer_with_another_end(t):
    weight = constant(np.eye(t.shape[-1], dtype=F), "w")
    return emit("Dense", t, weight, where="policy.py:7", activation="Gelu")


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(("change", "told"), [(unknown, "Softplus"), (layer_with_another_end, r"Dense \(Gelu\)")])
def test_what_a_target_lacks_is_told_by_name_with_a_mend(name, change, told, tmp_path, monkeypatch):
    target = TARGETS[name]
    if not target.can_be_written():
        pytest.skip(f"what writes {name} is not installed")
    monkeypatch.setattr(operators, "UNARY", operators.UNARY | {"Softplus"})  # as when somebody adds it to the graph
    with pytest.raises(
        ExportError, match=rf"policy\.py:7: .* has no counterpart of {told}\. Write it with other operators"
    ):
        target.write(program_with(change), tmp_path, "policy")


def test_in_jax_it_is_told_as_well(tmp_path):
    with pytest.raises(ExportError, match=r"policy\.py:7: the operator Softplus cannot be run in JAX\."):
        TARGETS["stablehlo"].write(program_with(unknown), tmp_path, "policy")
