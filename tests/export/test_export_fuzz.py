"""Differential test: random compositions of JAX operations, numpy and onnxruntime against JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from export_support import F, answers, graph_of, run_onnx, worst_error
from jax import lax

from perdure.export._interpret import interpret
from perdure.export._nan_guard import add_nan_guard
from perdure.export._passes import simplify
from perdure.export._tolerance import near_ties

INPUTS = {"x": ((6,), F), "y": ((3, 4), F), "z": ((6, 5, 2), F), "m": ((5,), np.bool_)}
BATCH = 17  # no other dimension
MAX_SIZE = 200  # entries of a value that is built upon


def convolve(a, q):
    kernel = jnp.asarray(q.standard_normal((2, 2, a.shape[-1], 3)) / 3, F)
    settings = {"window_strides": (1, int(q.integers(1, 3))), "padding": ["SAME", "VALID"][int(q.integers(2))]}
    return lax.conv_general_dilated(a[None], kernel, dimension_numbers=("NHWC", "HWIO", "NHWC"), **settings)[0]


def weights(q, *shape):
    return jnp.asarray(q.standard_normal(shape) / 2, F)


def positions(a, q, axis):
    return jnp.asarray(q.integers(0, a.shape[axis], 3))


ANY = [
    lambda a, b, q, ax: jnp.tanh(a),
    lambda a, b, q, ax: jax.nn.relu(a) - 0.3,
    lambda a, b, q, ax: jax.nn.sigmoid(a),
    lambda a, b, q, ax: jnp.tanh(a + b) if a.shape == b.shape else None,
    lambda a, b, q, ax: a.T,
    lambda a, b, q, ax: jnp.clip(a, -0.5, 0.7),
    lambda a, b, q, ax: jnp.where(a > 0.1, a, -0.2 * a),
    lambda a, b, q, ax: lax.cond(jnp.sum(a) > 0, lambda v: v * 0.5, lambda v: jnp.tanh(v) + 0.1, a),
    lambda a, b, q, ax: jnp.stack([a, a * a * 0.1], int(q.integers(a.ndim + 1))),
    lambda a, b, q, ax: jnp.sqrt(jnp.abs(a)) + jnp.floor(a) * 0.1,
    lambda a, b, q, ax: jax.nn.elu(a) + jax.nn.softplus(a) * 0.1,
]
RANKED = [
    lambda a, b, q, ax: jnp.tanh(a @ weights(q, a.shape[-1], int(q.integers(1, 20))) + weights(q, 1)),
    lambda a, b, q, ax: a.reshape(-1),
    lambda a, b, q, ax: jnp.moveaxis(a, ax, 0)[: max(1, a.shape[ax] // 2)],
    lambda a, b, q, ax: jnp.concatenate([a, b]) if a.ndim == b.ndim == 1 else None,
    lambda a, b, q, ax: jax.nn.softmax(a, axis=ax),
    lambda a, b, q, ax: jnp.mean(a, ax, keepdims=bool(q.integers(2))),
    lambda a, b, q, ax: jnp.max(a, ax),
    lambda a, b, q, ax: jax.nn.one_hot(jnp.argmax(a, ax), a.shape[ax]),
    lambda a, b, q, ax: jnp.take(a, positions(a, q, ax), axis=ax),
    lambda a, b, q, ax: jnp.cumsum(a, ax) * 0.3,
    lambda a, b, q, ax: jnp.sort(a, ax),
    lambda a, b, q, ax: jnp.flip(a, ax),
    lambda a, b, q, ax: jnp.pad(a, 1),
    lambda a, b, q, ax: a - a.mean(ax, keepdims=True),
    lambda a, b, q, ax: a[..., None] * weights(q, 3),
    lambda a, b, q, ax: jnp.exp(jax.nn.log_softmax(a, ax)),
    lambda a, b, q, ax: a[jnp.argmax(a.reshape(a.shape[0], -1)[:, 0])],
    lambda a, b, q, ax: a.at[int(q.integers(a.shape[0]))].set(0.5),
    lambda a, b, q, ax: a.at[jnp.argmin(a.reshape(a.shape[0], -1)[:, 0])].add(1.0),
    lambda a, b, q, ax: lax.top_k(a, max(1, a.shape[-1] // 2))[0],
    lambda a, b, q, ax: lax.dynamic_slice_in_dim(a, jnp.argmax(a.reshape(-1)) % 3, max(1, a.shape[ax] // 2), ax),
]
MATRICES = [
    lambda a, b, q, ax: jax.vmap(lambda row: jnp.tanh(weights(q, 5, row.shape[0]) @ row))(a),
    lambda a, b, q, ax: jnp.tanh(lax.scan(lambda c, row: (jnp.tanh(c + row), c), jnp.zeros(a.shape[1]), a)[1]),
    lambda a, b, q, ax: a[positions(a, q, 0), positions(a, q, 1)],
    lambda a, b, q, ax: a[jnp.argmax(a[:, 0]), jnp.argmin(a[0])],
    lambda a, b, q, ax: jnp.tanh(a @ a.T),
    lambda a, b, q, ax: jnp.take_along_axis(a, jnp.argsort(a, 1), 1),
]
IMAGES = [
    lambda a, b, q, ax: jnp.tanh(convolve(a, q)) if min(a.shape[:2]) > 1 else None,
    lambda a, b, q, ax: lax.reduce_window(a, F(-np.inf), lax.max, (2, 2, 1), (1, 2, 1), "SAME"),
    lambda a, b, q, ax: a.transpose(2, 0, 1).reshape(-1),
    lambda a, b, q, ax: a[positions(a, q, 0), :, positions(a, q, 2)],
]


def build(seed):
    """A random function of four inputs, built from a pool of values of bounded magnitude."""
    random = np.random.default_rng(seed)
    plan = [int(random.integers(2**31)) for _ in range(int(random.integers(4, 14)))]

    def function(x, y, z, m):
        pool = [x, y, z, m.astype(F)]
        for step in plan:
            q = np.random.default_rng(step)
            values = [p for p in pool if p.size <= MAX_SIZE]
            a, b = values[q.integers(len(values))], values[q.integers(len(values))]
            kinds = ANY + RANKED * (a.ndim > 0) + 2 * MATRICES * (a.ndim == 2) + 4 * IMAGES * (a.ndim == 3)
            made = kinds[q.integers(len(kinds))](a, b, q, int(q.integers(a.ndim)) if a.ndim else 0)
            if made is not None:
                pool.append(made.astype(F))
        return pool[-1], pool[-2]

    return function


def differs(seed):
    """What differs for one random function, or None: raw and simplified in numpy, guarded in onnxruntime, NaN there."""
    function = build(seed)
    random = np.random.default_rng(seed + 1)
    draw = {"f": lambda s: random.standard_normal(s).astype(F), "b": lambda s: random.random(s) < 0.5}
    arrays = [draw[np.dtype(d).kind]((BATCH, *shape)) for shape, d in INPUTS.values()]
    named = dict(zip(INPUTS, arrays, strict=True))
    want = answers(function, arrays)
    raw = graph_of(function, INPUTS)
    plain = simplify(raw)
    guarded = simplify(add_nan_guard(plain, ["y0", "y1"]))
    firm = ~near_ties(plain, named)
    for name, run in {
        "raw": lambda: interpret(raw, named).values(),
        "plain": lambda: interpret(plain, named).values(),
        "onnx": lambda: run_onnx(guarded, named),
    }.items():
        error = worst_error([np.asarray(y)[firm] for y in run()], [y[firm] for y in want])
        if error > 2e-5:
            return seed, name, error
    for x in arrays[:3]:
        x[::2, ..., 0] = np.nan
    broken = [np.isnan(y) for y in interpret(guarded, named).values()]
    if any((a != np.isnan(b)).any() for a, b in zip(broken, run_onnx(guarded, named), strict=True)):
        return seed, "NaN", np.inf
    lost = [np.isnan(b) & ~a for a, b in zip(broken, interpret(plain, named).values(), strict=True)]
    return (seed, "hidden NaN", np.inf) if any(x.any() for x in lost) else None


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 200, 20))
def test_random_functions_agree(first):
    assert [d for d in map(differs, range(first, first + 20)) if d is not None] == []
