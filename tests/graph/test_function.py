"""A graph as a module: it answers, saves, loads, trains, and stands where a layer stands."""

import ast
import dataclasses
import json
import math
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perdure._core import FileFormatError, describe, leaf_to_numpy, leaves_with_paths, rebuild, split_trainable
from perdure.checkpoint import load_policy, save_policy
from perdure.export.program import lower
from perdure.export.proof._observations import make_inputs
from perdure.graph import Graph, GraphFunction, Step, Tensor, constant, emit, interpret, name_tensors, without_batch
from tests.support.export.comparison import graph_of
from tests.support.policy_kinds import KINDS, make, some_slow

F = np.float32


def layer():
    """(2,) -> (3,): a dense layer, clipped by vectors."""
    x = Tensor((2,), np.dtype(F), "x")
    y = emit(
        "Dense",
        x,
        constant(np.arange(6, dtype=F).reshape(3, 2), "net.weight"),
        constant(np.ones(3, F), "net.bias"),
        activation=None,
    )
    return Graph([x], [("y", emit("Clip", y, lo=np.array([0, 1, 2], F), hi=np.array([5, 6, 7], F)))])


def function_of(kind):
    return GraphFunction.from_graph(name_tensors(without_batch(lower(make(kind)).graph)))


def test_it_answers_as_its_graph():
    graph = layer()
    function = GraphFunction.from_graph(graph)
    x = np.array([1, 2], F)
    # [0 1; 2 3; 4 5] @ [1, 2] + 1 = [3, 9, 15], held within [0, 5], [1, 6], [2, 7]
    np.testing.assert_array_equal(function(x), [3, 6, 7])
    np.testing.assert_array_equal(interpret(function.graph(), {"x": x})["y"], [3, 6, 7])
    assert [step.op for step in function.steps] == ["Dense", "Max", "Min"]
    assert (function.in_size, function.out_size) == (2, 3)


def test_weights_have_their_names_and_bounds_are_not_learned():
    function = GraphFunction.from_graph(layer())
    trained, _ = split_trainable(function)
    assert [name for name, _ in leaves_with_paths(trained)] == ["weights.net%2Ebias", "weights.net%2Eweight"]
    assert len(function.constants.arrays) == 2
    nothing = GraphFunction.from_graph(layer(), is_learned=lambda tensor, graph: False)
    assert not nothing.weights


def test_gradients_reach_the_weights():
    function = GraphFunction.from_graph(layer())
    slope = eqx.filter_grad(lambda f: f(jnp.array([1.0, 2.0]))[0])(function)
    np.testing.assert_array_equal(slope.weights["net.weight"], [[1, 2], [0, 0], [0, 0]])
    np.testing.assert_array_equal(slope.weights["net.bias"], [1, 0, 0])


@pytest.mark.parametrize("kind", some_slow(("mlp actor-critic", "gru q", "cnn deterministic"), KINDS))
def test_a_policys_graph_saves_and_loads_equal_and_acts_the_same(kind, tmp_path):
    function = function_of(kind)
    save_policy(tmp_path / "graph", function)
    loaded = load_policy(tmp_path / "graph.safetensors")
    assert eqx.tree_equal(function, loaded)
    assert jax.tree.structure(function) == jax.tree.structure(loaded)
    given = [np.full(i.shape, 0.25).astype(i.dtype) for i in function.inputs]
    run = eqx.filter_jit(lambda f, *x: f(*x))
    for one, other in zip(jax.tree.leaves(run(function, *given)), jax.tree.leaves(run(loaded, *given)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_loads_where_no_policy_and_no_exporter_is_imported(tmp_path):
    function = function_of("mlp deterministic")
    description = describe(function)
    arrays = {name: leaf_to_numpy(leaf) for name, leaf in leaves_with_paths(function)}
    np.savez(tmp_path / "arrays.npz", **arrays)
    x = np.linspace(-1, 1, function.in_size).astype(F)
    code = f"""
import sys, json, numpy as np
from perdure import graph
from perdure._core import rebuild
arrays = dict(np.load({str(tmp_path / "arrays.npz")!r}))
function = rebuild(json.loads(sys.stdin.read()), arrays)
print(json.dumps(np.asarray(function(np.array({x.tolist()}, np.float32)), np.float64).tolist()))
print([m for m in sys.modules if m.startswith(("perdure.policy", "perdure.export", "perdure.space"))])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(description),
        capture_output=True,
        text=True,
        check=True,
    )
    answer, modules = done.stdout.splitlines()
    np.testing.assert_allclose(json.loads(answer), function(x), rtol=1e-6)
    assert modules == "[]"


def test_equal_descriptions_are_equal_not_a_number_too():
    def padded():
        x = Tensor((2,), np.dtype(F), "x")
        return GraphFunction.from_graph(Graph([x], [("y", emit("Pad", x, pads=((1, 0),), value=float("nan")))]))

    one, other = padded(), padded()
    again = rebuild(describe(one), {})
    assert one.steps == other.steps == again.steps
    assert hash(one.steps) == hash(other.steps) == hash(again.steps)
    assert math.isnan(dict(again.steps[0].attributes)["value"])
    traces = []

    @eqx.filter_jit
    def run(function, x):
        traces.append(1)
        return function(x)

    for function in (one, other, again):
        run(function, np.ones(2, F))
    assert len(traces) == 1  # compiled once for all three


def test_a_batch_is_vmapped_or_comes_with_the_graph():
    x = Tensor((-1, 2), np.dtype(F), "x")
    batched = GraphFunction.from_graph(Graph([x], [("y", emit("Reduce", x, kind="sum", axes=(1,), keep=False))]))
    rows = np.arange(6, dtype=F).reshape(3, 2)
    np.testing.assert_array_equal(batched(rows), [1, 5, 9])
    np.testing.assert_array_equal(jax.vmap(GraphFunction.from_graph(layer()))(rows).shape, (3, 3))
    with pytest.raises(TypeError, match=r"takes x.*which is not one vector"):
        _ = batched.in_size


def changed(function, **fields):
    """Built as a file would be."""
    from perdure._core import make as build

    return build(GraphFunction, {f.name: getattr(function, f.name) for f in dataclasses.fields(function)} | fields)


def test_a_description_that_is_no_graph_is_refused_by_step_and_name():
    function = GraphFunction.from_graph(layer())
    dense, most, least = function.steps
    for steps, message in [
        ((dataclasses.replace(dense, op="Gemm"),), r"steps\[0\] has the operator 'Gemm'"),
        ((dataclasses.replace(dense, attributes=()),), r"steps\[0\]: Dense has \('activation',\)"),
        ((dataclasses.replace(dense, inputs=(0, 1, 9)),), r"steps\[0\] reads \(0, 1, 9\)"),
        (
            (dataclasses.replace(dense, inputs=(1, 0)), most, least),
            r"steps\[1\]: Max does not take \[\(3, 2\), \(3,\)\]",
        ),
        ((dataclasses.replace(dense, attributes=(("activation", "Swish"),)), most, least), "cannot be run"),
        ((Step("Cast", (0,), (("to", "float8"),)),), "'float8', not one of"),
    ]:
        with pytest.raises(ValueError, match=message):
            changed(function, steps=steps)
    with pytest.raises(ValueError, match="Name each once"):
        changed(function, order=("net.weight",))
    description = describe(function)
    text = repr(description).replace("'Dense'", "'Exec'")
    arrays = {name: leaf_to_numpy(leaf) for name, leaf in leaves_with_paths(function)}
    with pytest.raises(FileFormatError, match="the operator 'Exec'"):
        rebuild(ast.literal_eval(text), arrays)


def test_it_says_what_it_takes():
    with pytest.raises(TypeError, match="got 2 arrays, but takes 1: x"):
        GraphFunction.from_graph(layer())(np.ones(2, F), np.ones(2, F))


def with_graph_for_trunk(policy):
    trunk = policy.body.trunk
    graph = graph_of(trunk, {"features": (trunk.layers[0].weight.shape[1:], F)}, trunk)
    return eqx.tree_at(lambda p: p.body.trunk, policy, GraphFunction.from_graph(without_batch(graph)))


def test_it_stands_where_the_trunk_of_a_policy_stands(tmp_path):
    policy = make("gru actor-critic")
    other = with_graph_for_trunk(policy)
    assert other.body.trunk.out_size == policy.body.trunk.out_size
    state, observation = policy.reset(key=jax.random.key(0)), policy.observation_space.sample(key=jax.random.key(1))
    want, got = policy.evaluate(state, observation, None), other.evaluate(state, observation, None)
    np.testing.assert_allclose(got[1].logits, want[1].logits, rtol=1e-5, atol=1e-6)
    save_policy(tmp_path / "policy", other)
    again = load_policy(tmp_path / "policy.safetensors")
    assert eqx.tree_equal(other, again)
    slopes = eqx.filter_grad(lambda p: p.evaluate(state, observation, None)[2])(again)
    own = eqx.filter_grad(lambda p: p.evaluate(state, observation, None)[2])(policy)
    layers = [layer.weight for layer in own.body.trunk.layers]
    mine = [x for x in slopes.body.trunk.weights.values() if x.ndim == 2]
    assert len(mine) == len(layers)
    for slope, layer in zip(mine, layers, strict=True):
        np.testing.assert_allclose(slope, layer, rtol=1e-4, atol=1e-6)


def test_a_policy_with_a_graph_in_it_is_exported_as_any_other():
    policy = make("gru actor-critic")
    other = with_graph_for_trunk(policy)
    program, twin = lower(policy), lower(other)
    rows = make_inputs(policy, program.signature, 50, 0)
    want, got = interpret(program.graph, rows), interpret(twin.graph, rows)
    np.testing.assert_array_equal(got["action"], want["action"])


def test_a_policy_with_a_graph_in_it_loads_in_a_process_that_only_loads(tmp_path):
    save_policy(tmp_path / "policy", with_graph_for_trunk(make("gru actor-critic")))
    code = "import sys; from perdure.checkpoint import load_policy; print(type(load_policy(sys.argv[1]).body.trunk).__name__)"
    command = [sys.executable, "-c", code, str(tmp_path / "policy.safetensors")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "GraphFunction\n"
