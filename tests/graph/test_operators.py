"""What every operator means, by hand: the names are part of file formats, so a number here never changes.

Each case runs in the numpy reference and in JAX. `near` are those of which float32 gives the last digits its own way.
"""

import math

import jax
import numpy as np
import pytest

from perdure._core import ExportError
from perdure.graph import ATTRIBUTES, Graph, Tensor, constant, emit, in_jax, interpret

NAN, INF = math.nan, math.inf
F, I, B, Q = np.float32, np.int32, np.bool_, np.int8  # noqa: E741


def f(*values):
    return np.array(values, F)


def i(*values):
    return np.array(values, I)


def b(*values):
    return np.array(values, B)


def q(*values):
    return np.array(values, Q)


SCALES = {"scales": ((0.5, 1),), "to": (0.25, -3)}
TWO = {"scales": ((0.5, 1), (0.25, 0)), "to": (0.5, 2)}
IMAGE = np.arange(1, 10, dtype=F).reshape(1, 3, 3, 1)
FIRST = np.array([[[[1, 0], [0, -1]]]], F)  # (1, 1, 2, 2): a pixel less the one below to its right
CONV = {"strides": (1, 1), "pads": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1, "layout": "NHWC"}
POOL = {"window": (2, 2), "strides": (1, 1), "pads": ((0, 0), (0, 0)), "layout": "NHWC"}

# operator -> (inputs, attributes, answer) ...
EXACT = {
    "Neg": [([f(1, -2, NAN)], {}, f(-1, 2, NAN))],
    "Abs": [([f(1, -2, -INF)], {}, f(1, 2, INF)), ([i(-3)], {}, i(3))],
    "Sign": [([f(3, -2, 0, NAN)], {}, f(1, -1, 0, NAN))],
    "Floor": [([f(1.5, -1.5, 2)], {}, f(1, -2, 2))],
    "Ceil": [([f(1.5, -1.5, 2)], {}, f(2, -1, 2))],
    "Round": [([f(0.5, 1.5, 2.5, -0.5)], {}, f(0, 2, 2, 0))],  # to the even one
    "Sqrt": [([f(4, 0, INF, -1)], {}, f(2, 0, INF, NAN))],
    "Relu": [([f(1, -2, 0, NAN, INF)], {}, f(1, 0, 0, NAN, INF))],
    "Not": [([b(True, False)], {}, b(False, True))],
    "Add": [([f(1, INF), f(2, -INF)], {}, f(3, NAN)), ([f([1], [2]), f(1, 2)], {}, f([2, 3], [3, 4]))],
    "Sub": [([f(1, 2), f(3, 5)], {}, f(-2, -3))],
    "Mul": [([f(2, 0), f(3, INF)], {}, f(6, NAN))],
    "Div": [([f(1, 1, 0), f(2, 0, 0)], {}, f(0.5, INF, NAN)), ([i(7, -7, 5), i(2, 2, 0)], {}, i(3, -3, -1))],
    "Max": [([f(1, NAN, 3), f(2, 0, NAN)], {}, f(2, NAN, NAN))],
    "Min": [([f(1, NAN, 3), f(2, 0, NAN)], {}, f(1, NAN, NAN))],
    "Rem": [([f(5.5, -5.5), f(2, 2)], {}, f(1.5, -1.5)), ([i(7, -7, 5), i(3, 3, 0)], {}, i(1, -1, 5))],
    "And": [([b(True, True), b(True, False)], {}, b(True, False))],
    "Or": [([b(True, False), b(False, False)], {}, b(True, False))],
    "Eq": [([f(1, NAN), f(1, NAN)], {}, b(True, False))],
    "Lt": [([f(1, 1, NAN), f(2, 1, 1)], {}, b(True, False, False))],
    "Le": [([f(1, 1, NAN), f(2, 1, 1)], {}, b(True, True, False))],
    "Where": [([b(True, False), f(1, 2), f(3, NAN)], {}, f(1, NAN))],
    "Clip": [([f(-5, 0.5, 5, NAN)], {"lo": -1.0, "hi": 1.0}, f(-1, 0.5, 1, NAN))],
    "Cast": [
        ([f(1.9, -1.9, NAN, 1e10)], {"to": np.dtype(I)}, i(1, -1, 0, 2**31 - 1)),
        ([f(300, -300)], {"to": np.dtype(Q)}, q(127, -128)),
        ([b(True, False)], {"to": np.dtype(F)}, f(1, 0)),
        ([f(0.5, 0)], {"to": np.dtype(B)}, b(True, False)),
    ],
    "Reshape": [([f([1, 2], [3, 4])], {"shape": (4,)}, f(1, 2, 3, 4))],
    "Broadcast": [([f(1, 2)], {"shape": (2, 2)}, f([1, 2], [1, 2]))],
    "Transpose": [([f([1, 2, 3], [4, 5, 6])], {"perm": (1, 0)}, f([1, 4], [2, 5], [3, 6]))],
    "Concat": [([f([1], [2]), f([3], [4])], {"axis": 1}, f([1, 3], [2, 4]))],
    "Slice": [
        ([f(0, 1, 2, 3, 4)], {"starts": (1,), "sizes": (2,), "steps": (2,)}, f(1, 3)),
        ([f(0, 1, 2, 3, 4)], {"starts": (4,), "sizes": (5,), "steps": (-1,)}, f(4, 3, 2, 1, 0)),
    ],
    "Pad": [([f(1, 2)], {"pads": ((1, 2),), "value": 7.0}, f(7, 1, 2, 7, 7))],
    "Reduce": [
        ([f([1, 2], [3, 4])], {"kind": "sum", "axes": (0,), "keep": False}, f(4, 6)),
        ([f([1, NAN], [3, 4])], {"kind": "max", "axes": (1,), "keep": True}, f([NAN], [4])),
        ([f([1, 2], [3, 4])], {"kind": "min", "axes": (0, 1), "keep": False}, np.array(1, F)),
        ([f([1, 2], [3, 4])], {"kind": "prod", "axes": (1,), "keep": False}, f(2, 12)),
    ],
    "ArgMax": [([f([1, 3, 3], [NAN, 9, NAN])], {"axis": 1, "keep": False}, i(1, 0))],
    "CumSum": [
        ([f(1, 2, 3)], {"axis": 0, "reverse": False}, f(1, 3, 6)),
        ([f(1, 2, 3)], {"axis": 0, "reverse": True}, f(6, 5, 3)),
    ],
    "TopK": [
        ([f(2, NAN, 5, 5)], {"k": 3, "largest": True, "index": True}, i(1, 2, 3)),
        ([f(2, NAN, 5, 5)], {"k": 3, "largest": True, "index": False}, f(NAN, 5, 5)),
        ([f(2, NAN, 5, 2)], {"k": 3, "largest": False, "index": True}, i(0, 3, 2)),
    ],
    "Gather": [
        ([f([1, 2], [3, 4]), i(1, 0, 1)], {"axis": 0, "batch_dims": 0}, f([3, 4], [1, 2], [3, 4])),
        ([f([1, 2], [3, 4]), i([1], [0])], {"axis": 1, "batch_dims": 1}, f([2], [3])),
    ],
    "Dense": [
        ([f([1, 2]), f([1, 1], [1, -1]), f(0, 0.5)], {"activation": None}, f([3, -0.5])),
        ([f([1, 2]), f([1, 1], [1, -1]), f(0, 0.5)], {"activation": "Relu"}, f([3, 0])),
    ],
    "MatMul": [([f([1, 2], [3, 4]), f([0, 1], [1, 0])], {}, f([2, 1], [4, 3]))],
    "Conv": [
        ([IMAGE, FIRST, f(5)], {**CONV, "activation": "Relu"}, np.ones((1, 2, 2, 1), F)),
        (
            [IMAGE.transpose(0, 3, 1, 2), FIRST],
            {**CONV, "layout": "NCHW", "activation": None},
            np.full((1, 1, 2, 2), -4, F),
        ),
    ],
    "Pool": [
        ([IMAGE], {**POOL, "kind": "max"}, f(5, 6, 8, 9).reshape(1, 2, 2, 1)),
        ([IMAGE], {**POOL, "kind": "sum"}, f(12, 16, 24, 28).reshape(1, 2, 2, 1)),
        ([q(1, 2, -3, 4).reshape(1, 2, 2, 1)], {**POOL, "kind": "max"}, q(4).reshape(1, 1, 1, 1)),
    ],
    # a real number r is the byte r / scale + zero, to the nearest even, held within a byte
    "Quantize": [
        ([f(0.1, 0.125, -1, 99, NAN)], {"to": (0.25, -3), "scales": ()}, q(-3, -3, -7, 127, -128)),
        ([q(3, 1)], SCALES, q(1, -3)),  # (3 - 1) * 0.5 = 1 is 4 quarters
    ],
    "Dequantize": [([q(3, 1, -1)], {"scales": ((0.5, 1),)}, f(1, 0, -1))],
    "DenseInt8": [
        # (3 - 1) * 2 + (1 - 1) * 1 + 4 = 8, times 0.5 * 0.25 / 0.25 = 4, less 3
        ([q([3, 1]), q([2, 1]), i(4), f(0.25)], {**SCALES, "activation": None}, q([1])),
        ([q([1, 1]), q([2, 1]), i(-4), f(0.25)], {**SCALES, "activation": "Relu"}, q([-3])),
    ],
    "ConvInt8": [
        (
            [q(3, 1).reshape(1, 1, 2, 1), q(2).reshape(1, 1, 1, 1), i(4), f(0.25)],
            {**CONV, **SCALES, "activation": None},
            q(1, -1).reshape(1, 1, 2, 1),
        )
    ],
    "TableInt8": [([q(-128, 0, 127)], {**SCALES, "kind": "Tanh"}, q(-128, 0, 127))],
    "AddInt8": [([q(3, 1), q(4, 2)], TWO, q(6, 3))],  # 1 + 1 = 2 is 4 halves; 0 + 0.5 is 1
    "SubInt8": [([q(3, 1), q(4, 2)], TWO, q(2, 1))],
    "MulInt8": [([q(3, 1), q(4, 2)], TWO, q(4, 2))],  # 1 * 1 = 1 is 2 halves
}
TABLE = constant(np.arange(-128, 128).astype(Q))
NEAR = {
    "Exp": [([f(0, 1, -INF)], {}, f(1, math.e, 0))],
    "Log": [([f(1, math.e, 0, -1)], {}, f(0, 1, -INF, NAN))],
    "Log1p": [([f(0, 1e-10)], {}, f(0, 1e-10))],
    "Expm1": [([f(0, 1e-10)], {}, f(0, 1e-10))],
    "Tanh": [([f(0, 0.5, 99)], {}, f(0, 0.46211716, 1))],
    "Sigmoid": [([f(0, 2, -99)], {}, f(0.5, 0.88079708, 0))],
    "Erf": [([f(0, 1, -INF)], {}, f(0, 0.84270079, -1))],
    "Sin": [([f(0, 1)], {}, f(0, 0.84147098))],
    "Cos": [([f(0, 1)], {}, f(1, 0.54030231))],
    "Tan": [([f(0, 1)], {}, f(0, 1.5574077))],
    "Asin": [([f(0, 1, 2)], {}, f(0, math.pi / 2, NAN))],
    "Acos": [([f(1, -1)], {}, f(0, math.pi))],
    "Atan": [([f(0, 1, INF)], {}, f(0, math.pi / 4, math.pi / 2))],
    "Sinh": [([f(0, 1)], {}, f(0, 1.1752012))],
    "Cosh": [([f(0, 1)], {}, f(1, 1.5430806))],
    "Pow": [([f(2, 9, -1), f(3, 0.5, 0.5)], {}, f(8, 3, NAN))],
    "Softmax": [
        ([f([0, math.log(3)])], {"axis": 1}, f([0.25, 0.75])),
        ([f([1e30, 0])], {"axis": 1}, f([1, 0])),
        ([f([NAN, 0])], {"axis": 1}, f([NAN, NAN])),
    ],
}
CASES = {**EXACT, **NEAR}


def case_graph(op, inputs, attributes):
    """The inputs go in but for weights, which are constants."""
    held = 1 if op in ("Dense", "Conv", "DenseInt8", "ConvInt8", "TableInt8") else len(inputs)
    tensors = [Tensor(x.shape, x.dtype, f"x{k}") for k, x in enumerate(inputs[:held])]
    constants = [TABLE] if op == "TableInt8" else [constant(x, f"c{k}") for k, x in enumerate(inputs[held:])]
    given = {t.name: x for t, x in zip(tensors, inputs, strict=False)}
    return Graph(tensors, [("y", emit(op, *tensors, *constants, **attributes))]), given


@pytest.mark.parametrize("op", CASES)
def test_the_meaning_of_an_operator_is_the_same_for_ever_in_numpy_and_in_jax(op):
    for inputs, attributes, want in CASES[op]:
        graph, given = case_graph(op, inputs, attributes)
        for run in (interpret, lambda graph, given: jax.jit(in_jax(graph))(given)):
            got = np.asarray(run(graph, given)["y"])
            assert (got.shape, got.dtype) == (want.shape, want.dtype) == (graph.outputs[0][1].shape, want.dtype)
            np.testing.assert_allclose(got, want, rtol=2e-6 if op in NEAR else 0, atol=1e-7 if op in NEAR else 0)


def test_every_operator_has_a_case():
    assert set(CASES) == set(ATTRIBUTES)


def test_every_case_has_the_attributes_of_the_operator():
    for op, cases in CASES.items():
        for _, attributes, _ in cases:
            assert set(attributes) == set(ATTRIBUTES[op]), op


def test_an_unknown_operator_is_refused_by_name():
    x = Tensor((2,), np.dtype(F), "x")
    with pytest.raises(ExportError, match=r"no operator 'Softplus'\. Known: .*Relu"):
        emit("Softplus", x)
    emit("Unsupported", x, shape=(2,), dtype=F, message="")
    graph = Graph([x], [("y", emit("Unsupported", x, shape=(2,), dtype=F, message=""))])
    for run in (interpret, lambda graph, given: in_jax(graph)(given)):
        with pytest.raises(ExportError, match="the operator Unsupported cannot be run"):
            run(graph, {"x": f(1, 2)})
