"""The graph: inferred shapes, dead code, names, the passes that writers rely on."""

import numpy as np
import pytest

from perdure._core import ExportError
from perdure.export.trace import trace
from perdure.graph import (
    Graph,
    Tensor,
    at_batch_one,
    channels_last,
    constant,
    emit,
    interpret,
    name_tensors,
    simplify,
    without_batch,
)
from perdure.graph._graph import broadcast_shapes
from tests.support.export.comparison import F, graph_of


def tensor(*shape, dtype=F):
    return Tensor(shape, np.dtype(dtype), "x")


@pytest.mark.parametrize(
    ("made", "shape"),
    [
        (lambda x: emit("Tanh", x), (-1, 6, 4)),
        (lambda x: emit("Add", x, constant(np.zeros((6, 1), F))), (-1, 6, 4)),
        (lambda x: emit("Transpose", x, perm=(1, 2, 0)), (6, 4, -1)),
        (lambda x: emit("Reshape", x, shape=(-6, 4)), (-6, 4)),
        (lambda x: emit("Concat", x, x, axis=1), (-1, 12, 4)),
        (lambda x: emit("Pad", x, pads=((0, 0), (1, 2), (0, 0)), value=0.0), (-1, 9, 4)),
        (lambda x: emit("Reduce", x, kind="sum", axes=(1,), keep=False), (-1, 4)),
        (lambda x: emit("ArgMax", x, axis=2, keep=True), (-1, 6, 1)),
        (lambda x: emit("TopK", x, k=3, largest=True, index=True), (-1, 6, 3)),
        (lambda x: emit("Gather", x, constant(np.zeros((2, 5), np.int32)), axis=1, batch_dims=0), (-1, 2, 5, 4)),
        (lambda x: emit("Gather", x, tensor(-1, 7, dtype=np.int32), axis=1, batch_dims=1), (-1, 7, 4)),
        (lambda x: emit("Dense", x, constant(np.zeros((9, 4), F)), activation=None), (-1, 6, 9)),
        (lambda x: emit("MatMul", x, tensor(-1, 4, 2)), (-1, 6, 2)),
    ],
)
def test_shapes_are_inferred(made, shape):
    assert made(tensor(-1, 6, 4)).shape == shape


def test_the_shape_of_a_convolution_follows_its_layout():
    attrs = {"strides": (2, 1), "pads": ((1, 1), (0, 0)), "dilation": (1, 2), "groups": 1, "activation": None}
    weight = constant(np.zeros((5, 3, 3, 2), F))
    # height (9 + 2 - 3) // 2 + 1 = 5, width (8 - 3) // 1 + 1 = 6 with a reach of (2 - 1) * 2 + 1 = 3
    assert emit("Conv", tensor(-1, 3, 9, 8), weight, layout="NCHW", **attrs).shape == (-1, 5, 5, 6)
    assert emit("Conv", tensor(-1, 9, 8, 3), weight, layout="NHWC", **attrs).shape == (-1, 5, 6, 5)


def test_shapes_that_do_not_broadcast_are_an_error():
    assert broadcast_shapes([(-1, 1, 4), (3, 1)]) == (-1, 3, 4)
    with pytest.raises(ExportError, match="do not broadcast"):
        broadcast_shapes([(-1, 3), (4,)])


def test_what_no_output_reaches_is_not_in_the_graph():
    x = tensor(-1, 3)
    emit("Exp", x)
    y = emit("Tanh", x)
    assert [n.op for n in Graph([x], [("y", y)]).nodes()] == ["Tanh"]


def test_equal_computations_become_one():
    graph = simplify(graph_of(lambda x: (abs(x) + 1) * (abs(x) + 1), {"x": ((3,), F)}))
    assert [n.op for n in graph.nodes()] == ["Abs", "Add", "Mul"]


def test_a_layer_with_bias_and_activation_is_one_node():
    import jax.numpy as jnp

    weight = np.ones((4, 3), F)
    graph = simplify(graph_of(lambda x: jnp.tanh(weight @ x + np.arange(4.0, dtype=F)), {"x": ((3,), F)}))
    (node,) = graph.nodes()
    assert (node.op, node.attrs["activation"]) == ("Dense", "Tanh")


def test_an_image_network_has_no_transpose_in_channels_last():
    import equinox as eqx
    import jax

    conv = eqx.nn.Conv2d(3, 4, 3, key=jax.random.key(0))
    dense = eqx.nn.Linear(4 * 36, 2, key=jax.random.key(1))
    graph = simplify(
        graph_of(lambda x: dense(jax.nn.relu(conv(x.transpose(2, 0, 1))).reshape(-1)), {"x": ((8, 8, 3), F)})
    )
    assert [n.op for n in channels_last(graph).nodes()] == ["Conv", "Reshape", "Dense"]


def test_names_are_unique_and_those_of_inputs_and_outputs_stay():
    graph = name_tensors(simplify(trace(lambda x: (x + x * 2, x * 3), {"in": ((2,), F)}, ["a", "b"])))
    names = [n.out.name for n in graph.nodes()]
    assert len(set(names)) == len(names)
    assert {"a", "b"} <= set(names)


def test_batch_one_and_no_batch_have_no_symbolic_dimension():
    graph = simplify(graph_of(lambda x: x.reshape(-1) * 2, {"x": ((2, 3), F)}))
    for form in (at_batch_one(graph), without_batch(graph)):
        assert all(d >= 0 for n in form.nodes() for d in n.out.shape)
    assert without_batch(graph).inputs[0].shape == (2, 3)


def test_the_reference_agrees_with_jax_on_nan():
    import jax.numpy as jnp

    row = np.array([[1, np.nan, 3]], F)
    for function, want in ((jnp.argmax, 1), (jnp.argmin, 1), (lambda x: x.astype(jnp.int32), [1, 0, 3])):
        assert np.array_equal(interpret(graph_of(function, {"x": ((3,), F)}), {"x": row})["y0"][0], want)
    assert np.isnan(interpret(graph_of(jnp.max, {"x": ((3,), F)}), {"x": row})["y0"]).all()


def test_two_transposes_become_one_by_another_order_than_its_inverse():
    """(n, a, b, c) -> (n, c, a, b) -> (n, b, c, a): entry [0, 1, 2, 3] of shape 1 2 3 4 lies at [0, 2, 3, 1]."""
    x = tensor(-1, 2, 3, 4)
    twice = emit("Transpose", emit("Transpose", x, perm=(0, 3, 1, 2)), perm=(0, 3, 1, 2))
    graph = simplify(Graph([x], [("y", twice)]))
    assert [node.attrs["perm"] for node in graph.nodes()] == [(0, 2, 3, 1)]
    rows = np.arange(24, dtype=F).reshape(1, 2, 3, 4)
    assert interpret(graph, {"x": rows})["y"][0, 2, 3, 1] == rows[0, 1, 2, 3]
