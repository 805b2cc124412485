"""The graph in JAX: as the numpy reference on random, extreme and broken numbers, with any batch, and its gradients."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from perdure.export.program import lower
from perdure.export.proof._observations import broken_inputs, make_inputs
from perdure.export.proof._tolerance import near_ties
from perdure.graph import Graph, Tensor, constant, emit, in_jax, interpret, without_batch
from perdure.graph._operators import BINARY, UNARY
from tests.support.export.comparison import worst_error
from tests.support.export.int8 import int8_program
from tests.support.export.policies import POLICIES
from tests.support.policy_kinds import KINDS, make, some_slow

F = np.float32
# No denormal number: XLA takes it for 0 on a CPU, and the proof of an export asks for them apart.
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 0.5, -0.5, 1.5, 2.5, 3.0, -2.0, 88.0, -104.0]
LOGIC = {"And", "Or", "Not"}
WITHOUT_INFINITY = {"Sin", "Cos", "Tan"}  # of 1e30, which each library reduces its own way


def both(graph, given, tolerance=2e-6):
    want, got = interpret(graph, given), jax.jit(in_jax(graph))(given)
    assert worst_error([got[name] for name in want], want.values()) <= tolerance


@pytest.mark.parametrize("op", sorted(UNARY))
def test_a_function_of_one_array_on_every_kind_of_number(op):
    values = [x for x in SPECIAL if op not in WITHOUT_INFINITY or not abs(x) > 1e3]
    x = (
        np.array([*values, *np.linspace(-3, 3, 41)], F) > 0
        if op in LOGIC
        else np.array([*values, *np.linspace(-3, 3, 41)], F)
    )
    t = Tensor(x.shape, x.dtype, "x")
    both(Graph([t], [("y", emit(op, t))]), {"x": x}, 1e-5)


@pytest.mark.parametrize("op", sorted(BINARY))
def test_a_function_of_two_arrays_on_every_pair_of_numbers(op):
    values = [x for x in SPECIAL if op != "Rem" or abs(x) < 1e3]
    pairs = np.array(list(itertools.product(values, values)), F)
    x, y = (pairs[:, k] > 0 if op in LOGIC else pairs[:, k] for k in (0, 1))
    a, b = Tensor(x.shape, x.dtype, "x"), Tensor(y.shape, y.dtype, "y")
    both(Graph([a, b], [("y", emit(op, a, b))]), {"x": x, "y": y}, 1e-5)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Rem", "Max", "Min"])
def test_whole_numbers_with_their_ends(op):
    values = [0, 1, -1, 2, -7, 9, 2**31 - 1, -(2**31 - 1)]
    if op in ("Add", "Sub", "Mul"):
        values = values[:6]
    pairs = np.array(list(itertools.product(values, values)), np.int32)
    a, b = Tensor((len(pairs),), np.dtype(np.int32), "x"), Tensor((len(pairs),), np.dtype(np.int32), "y")
    both(Graph([a, b], [("y", emit(op, a, b))]), {"x": pairs[:, 0], "y": pairs[:, 1]})


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("index", [True, False])
def test_order_with_ties_and_broken_numbers(largest, index):
    random = np.random.default_rng(0)
    x = random.choice(np.array([1, 2, 2, 3, np.nan, np.inf, -np.inf], F), (200, 6))
    t = Tensor((-1, 6), np.dtype(F), "x")
    y = emit("TopK", t, k=4, largest=largest, index=index)
    both(Graph([t], [("y", y), ("first", emit("ArgMax", t, axis=1, keep=False))]), {"x": x})


@pytest.mark.parametrize("kind", ["max", "sum"])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("pads", [((0, 0), (0, 0)), ((1, 0), (0, 2))])
def test_windows_with_padding_strides_and_nan(kind, layout, pads):
    x = np.random.default_rng(1).standard_normal((3, 5, 6, 2)).astype(F)
    x[0, 1, 1, 0] = np.nan
    x = x if layout == "NHWC" else x.transpose(0, 3, 1, 2)
    t = Tensor((-1, *x.shape[1:]), np.dtype(F), "x")
    y = emit("Pool", t, kind=kind, window=(2, 3), strides=(2, 1), pads=pads, layout=layout)
    both(Graph([t], [("y", y)]), {"x": x})


POLICY_KINDS = some_slow(("mlp actor-critic", "cnn actor-critic, dict", "gru q", "liquid deterministic"), KINDS)


@pytest.mark.parametrize("kind", POLICY_KINDS)
def test_a_whole_policy_answers_as_in_numpy_broken_observations_too(kind):
    policy = make(kind)
    program = lower(policy)
    rows = make_inputs(policy, program.signature, 100, 0)
    broken = broken_inputs(program.signature, rows)
    tied = near_ties(program.plain, rows)
    for given, skip in ((rows, tied), (broken, None)):
        if not len(next(iter(given.values()))):
            continue
        want, got = interpret(program.graph, given), eqx.filter_jit(in_jax(program.graph))(given)
        for name, x in want.items():
            keep = slice(None) if skip is None else ~skip
            assert worst_error([np.asarray(got[name])[keep]], [x[keep]]) <= 2e-5, name


def test_the_batch_may_be_symbolic_and_of_any_size():
    program = lower(POLICIES["recurrent"]())
    (batch,) = export.symbolic_shape("batch")
    shapes = {p.name: jax.ShapeDtypeStruct((batch, *p.shape), p.dtype) for p in program.signature.inputs}
    made = export.export(jax.jit(in_jax(program.graph)))(shapes)
    for size in (1, 3):
        given = {p.name: np.ones((size, *p.shape), p.dtype) for p in program.signature.inputs}
        want, got = interpret(program.graph, given), made.call(given)
        assert worst_error([got[name] for name in want], want.values()) <= 1e-5


@pytest.mark.parametrize("kind", ["discrete", "squashed", "convolution"])
def test_int8_answers_byte_for_byte(kind):
    policy = POLICIES[kind]()
    program, _, fitted = int8_program(policy)
    want, got = interpret(program.graph, fitted.held_out), jax.jit(in_jax(program.graph))(fitted.held_out)
    assert worst_error([got[name] for name in want], want.values()) <= 1e-6


@pytest.mark.parametrize("op", ["AddInt8", "SubInt8", "MulInt8"])
def test_two_bytes_make_the_same_byte_for_every_pair(op):
    x, y = (np.array(side, np.int8) for side in zip(*itertools.product(range(-128, 128), repeat=2), strict=True))
    a, b = Tensor(x.shape, x.dtype, "x"), Tensor(y.shape, y.dtype, "y")
    for scales, to in [(((0.1, 3), (0.03, -9)), (0.17, 5)), (((1 / 3, 0), (1 / 7, 0)), (1 / 5, -128))]:
        node = emit(op, a, b, scales=scales, to=to)
        both(Graph([a, b], [("y", node)]), {"x": x, "y": y}, 0)


def gradient(build, x):
    t = Tensor(x.shape, x.dtype, "x")
    run = in_jax(Graph([t], [("y", build(t))]))
    return np.asarray(jax.grad(lambda v: run({"x": v})["y"].reshape(-1)[0])(jnp.asarray(x)))


def test_gradients_are_those_of_the_functions_that_the_operators_stand_for():
    x = np.array([[0.0, 0.0, -1.0]], F)  # a tie of the largest
    want = jax.grad(lambda v: jax.nn.softmax(v)[0, 0])(x)
    np.testing.assert_allclose(gradient(lambda t: emit("Softmax", t, axis=1), x), want, atol=1e-7)
    np.testing.assert_array_equal(gradient(lambda t: emit("Relu", t), np.zeros(1, F)), [0])  # not a half
    dense = gradient(
        lambda t: emit("Dense", t, constant(np.array([[2.0, 3.0]], F)), activation="Tanh"), np.zeros((1, 2), F)
    )
    np.testing.assert_array_equal(dense, [[2, 3]])
    window = {"window": (2, 2), "strides": (1, 1), "pads": ((0, 0), (0, 0)), "layout": "NHWC"}
    image = np.arange(4, dtype=F).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(
        gradient(lambda t: emit("Pool", t, kind="max", **window), image).ravel(), [0, 0, 0, 1]
    )
    order = gradient(lambda t: emit("TopK", t, k=1, largest=True, index=False), np.array([[1.0, 3.0]], F))
    np.testing.assert_array_equal(order, [[0, 1]])


def test_gradients_of_a_whole_policy_are_the_policys_own():
    policy = make("mlp deterministic")
    graph = without_batch(lower(policy, nan_guard=False).plain)
    x = policy.observation_space.sample(key=jax.random.key(0))
    run = in_jax(graph)
    mine = jax.grad(lambda v: run({"observation": v})["action"].sum())(x)
    own = jax.grad(lambda v: policy(None, v)[1].sum())(x)
    np.testing.assert_allclose(mine, own, rtol=1e-4, atol=1e-6)
