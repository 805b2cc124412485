"""Random policies: compositions of JAX operations as users write them, made from a list of numbers."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.support.export.comparison import F

INPUTS = {
    "x": ((6,), F), "y": ((3, 4), F), "z": ((6, 5, 2), F),
    "m": ((5,), np.bool_), "k": ((4,), np.int32), "u": ((4, 5, 3), np.uint8),
}  # fmt: skip
BATCH = 17  # no other dimension
MAX_SIZE = 200  # entries of a value that is built upon


def rows(seed):
    """`BATCH` random inputs."""
    random = np.random.default_rng(seed)
    draw = {
        "f": lambda shape: random.standard_normal(shape),
        "b": lambda shape: random.random(shape) < 0.5,
        "i": lambda shape: random.integers(-3, 4, shape),
        "u": lambda shape: random.integers(0, 256, shape),
    }
    return {name: draw[np.dtype(d).kind]((BATCH, *shape)).astype(d) for name, (shape, d) in INPUTS.items()}


def convolve(a, q):
    kernel = jnp.asarray(q.standard_normal((2, 2, a.shape[-1], 3)) / 3, F)
    settings = {"window_strides": (1, int(q.integers(1, 3))), "padding": ["SAME", "VALID"][int(q.integers(2))]}
    settings["rhs_dilation"] = (1, 1 + int(q.integers(2)))
    reach = settings["rhs_dilation"][1] + 1
    if settings["padding"] == "VALID" and a.shape[1] < reach:
        return None
    return lax.conv_general_dilated(a[None], kernel, dimension_numbers=("NHWC", "HWIO", "NHWC"), **settings)[0]


def convolve_transposed(a, q):
    kernel = jnp.asarray(q.standard_normal((2, 2, a.shape[-1], 2)) / 3, F)
    settings = {"window_strides": (1, 1), "padding": ((1, 1), (0, 1)), "lhs_dilation": (2, 1)}
    return lax.conv_general_dilated(a[None], kernel, dimension_numbers=("NHWC", "HWIO", "NHWC"), **settings)[0]


def convolve_line(a, q):
    kernel = jnp.asarray(q.standard_normal((2, a.shape[1], 3)) / 3, F)
    return lax.conv_general_dilated(a[None], kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))[0]


def weights(q, *shape):
    return jnp.asarray(q.standard_normal(shape) / 2, F)


def positions(a, q, axis):
    return jnp.asarray(q.integers(0, a.shape[axis], 3))


def whole(a):
    return jnp.round(jnp.clip(3 * a, -9, 9)).astype(jnp.int32)


def first_column(a):
    return a.reshape(a.shape[0], -1)[:, 0]


def together(a, b):
    """Whether they broadcast."""
    try:
        return np.prod(np.broadcast_shapes(a.shape, b.shape)) <= MAX_SIZE
    except ValueError:
        return False


def attention(a):
    return jax.nn.softmax(a @ a.T / np.sqrt(a.shape[1]), axis=-1) @ a


def group_norm(a):
    groups = a.reshape(2, -1)
    centred = groups - groups.mean(1, keepdims=True)
    return (centred * lax.rsqrt((centred**2).mean(1, keepdims=True) + 0.1)).reshape(a.shape)


ANY = [
    lambda a, b, q, ax: jnp.tanh(a),
    lambda a, b, q, ax: jax.nn.relu(a) - 0.3,
    lambda a, b, q, ax: jax.nn.sigmoid(a),
    lambda a, b, q, ax: jnp.tanh(a + b) if together(a, b) else None,
    lambda a, b, q, ax: jnp.maximum(a, jnp.tanh(b)) - jnp.minimum(a, 0.5) if together(a, b) else None,
    lambda a, b, q, ax: a * jax.nn.sigmoid(b.mean()),
    lambda a, b, q, ax: a.T,
    lambda a, b, q, ax: jnp.clip(a, -0.5, 0.7),
    lambda a, b, q, ax: jnp.where(a > 0.1, a, -0.2 * a),
    lambda a, b, q, ax: jnp.where((a > 0.1) & (a < 1) | ~(a > -1), a, 0.2),
    lambda a, b, q, ax: lax.cond(jnp.sum(a) > 0, lambda v: v * 0.5, lambda v: jnp.tanh(v) + 0.1, a),
    lambda a, b, q, ax: jnp.stack([a, a * a * 0.1], int(q.integers(a.ndim + 1))),
    lambda a, b, q, ax: jnp.sqrt(jnp.abs(a)) + jnp.floor(a) * 0.1,
    lambda a, b, q, ax: jax.nn.elu(a) + jax.nn.softplus(a) * 0.1,
    lambda a, b, q, ax: 0.2 * (whole(a) // 2 + whole(a) % 3 - lax.rem(whole(a), 4)),
    lambda a, b, q, ax: jnp.where(whole(a) > 2, jnp.maximum(whole(a), 1), -whole(a)) * 0.1,
    lambda a, b, q, ax: jnp.tanh(a) ** int(q.integers(2, 5)),
    lambda a, b, q, ax: jax.nn.gelu(a),
    lambda a, b, q, ax: jnp.sin(a) + jnp.cos(a),
    lambda a, b, q, ax: jax.checkpoint(lambda v: jnp.tanh(v) * v)(jnp.clip(a, -3, 3)),
    lambda a, b, q, ax: jnp.searchsorted(jnp.array([-1.0, 0.0, 0.5]), a) * 0.3,
    lambda a, b, q, ax: jnp.interp(a, jnp.array([-1.0, 0.0, 2.0]), jnp.array([0.0, 1.0, -1.0])),
]
RANKED = [
    lambda a, b, q, ax: jnp.tanh(a @ weights(q, a.shape[-1], int(q.integers(1, 20))) + weights(q, 1)),
    lambda a, b, q, ax: a.reshape(-1),
    lambda a, b, q, ax: jnp.moveaxis(a, ax, 0)[: max(1, a.shape[ax] // 2)],
    lambda a, b, q, ax: jnp.concatenate([a, b]) if a.ndim == b.ndim == 1 else None,
    lambda a, b, q, ax: jnp.concatenate([a, jnp.tanh(a)], ax),
    lambda a, b, q, ax: lax.slice_in_dim(a, int(q.integers(a.shape[ax])), None, int(q.integers(1, 3)), ax),
    lambda a, b, q, ax: jax.nn.softmax(a, axis=ax),
    lambda a, b, q, ax: jnp.mean(a, ax, keepdims=bool(q.integers(2))),
    lambda a, b, q, ax: jnp.max(a, ax),
    lambda a, b, q, ax: jax.nn.logsumexp(a, ax),
    lambda a, b, q, ax: jax.nn.one_hot(jnp.argmax(a, ax), a.shape[ax]),
    lambda a, b, q, ax: jnp.take(a, positions(a, q, ax), axis=ax),
    lambda a, b, q, ax: jnp.cumsum(a, ax) * 0.3,
    lambda a, b, q, ax: jnp.sort(a, ax),
    lambda a, b, q, ax: jnp.flip(a, ax),
    lambda a, b, q, ax: jnp.pad(a, 1),
    lambda a, b, q, ax: a - a.mean(ax, keepdims=True),
    lambda a, b, q, ax: a * lax.rsqrt((a * a).mean(ax, keepdims=True) + 0.1),
    lambda a, b, q, ax: group_norm(a) if a.size % 2 == 0 else None,
    lambda a, b, q, ax: a[..., None] * weights(q, 3),
    lambda a, b, q, ax: jnp.exp(jax.nn.log_softmax(a, ax)),
    lambda a, b, q, ax: a[jnp.argmax(first_column(a))],
    lambda a, b, q, ax: jnp.take(a, whole(b).reshape(-1)[:2] % a.shape[ax], axis=ax) if b.size else None,
    lambda a, b, q, ax: a.at[int(q.integers(a.shape[0]))].set(0.5),
    lambda a, b, q, ax: a.at[jnp.argmin(first_column(a))].add(1.0),
    lambda a, b, q, ax: a.at[positions(a, q, 0)].multiply(0.5),
    lambda a, b, q, ax: lax.top_k(a, max(1, a.shape[-1] // 2))[0],
    lambda a, b, q, ax: lax.dynamic_slice_in_dim(a, jnp.argmax(a.reshape(-1)) % 3, max(1, a.shape[ax] // 2), ax),
    lambda a, b, q, ax: lax.switch(whole(a).reshape(-1)[0] % 3, [jnp.tanh, jnp.negative, lambda v: v * 0.5], a),
]
MATRICES = [
    lambda a, b, q, ax: jax.vmap(lambda row: jnp.tanh(weights(q, 5, row.shape[0]) @ row))(a),
    lambda a, b, q, ax: jnp.tanh(lax.scan(lambda c, row: (jnp.tanh(c + row), c), jnp.zeros(a.shape[1]), a)[1]),
    lambda a, b, q, ax: a[positions(a, q, 0), positions(a, q, 1)],
    lambda a, b, q, ax: a[jnp.argmax(a[:, 0]), jnp.argmin(a[0])],
    lambda a, b, q, ax: jnp.tanh(a @ a.T),
    lambda a, b, q, ax: jnp.take_along_axis(a, jnp.argsort(a, 1), 1),
    lambda a, b, q, ax: attention(a),
    lambda a, b, q, ax: jnp.tanh(jnp.einsum("ij,kj,k->i", a, a, a[:, 0])),
    lambda a, b, q, ax: jnp.tanh(convolve_line(a, q)),
]
IMAGES = [
    lambda a, b, q, ax: None if min(a.shape[:2]) < 2 or (y := convolve(a, q)) is None else jnp.tanh(y),
    lambda a, b, q, ax: jnp.tanh(convolve_transposed(a, q)),
    lambda a, b, q, ax: lax.reduce_window(a, F(-np.inf), lax.max, (2, 2, 1), (1, 2, 1), "SAME"),
    lambda a, b, q, ax: lax.reduce_window(a, F(0), lax.add, (2, 2, 1), (2, 1, 1), "SAME") * 0.25,
    lambda a, b, q, ax: a.transpose(2, 0, 1).reshape(-1),
    lambda a, b, q, ax: a[positions(a, q, 0), :, positions(a, q, 2)],
    lambda a, b, q, ax: a[jnp.argmax(a[:, 0, 0]), :, jnp.argmin(a[0, 0])],
]
RARE = [  # what TFLite has no operator for
    lambda a, b, q, ax: jax.nn.gelu(a, approximate=False),
    lambda a, b, q, ax: jnp.arctan2(a, 1 + jnp.abs(b.mean())),
    lambda a, b, q, ax: jnp.tan(jnp.tanh(a)),
    lambda a, b, q, ax: jnp.fmod(a, 0.7) * 0.1 + lax.rem(a, F(3)),
]
RARITY = 40


def build(plan):
    """A policy of six inputs: its last value, and the position of the largest entry of the one before that.

    `plan` seeds one step after the other, each an operation on values made so far; so a shorter plan is a simpler policy.
    """

    def policy(x, y, z, m, k, u):
        pool = [x, y, z, m.astype(F), 0.3 * k.astype(F), u.astype(F) / 128 - 1]
        for step in plan:
            q = np.random.default_rng(step)
            values = [p for p in pool if 0 < p.size <= MAX_SIZE]
            a, b = (
                values[-1 - int(q.exponential(1.5)) % len(values)],
                values[q.integers(len(values))],
            )  # so that it is deep
            kinds = ANY + RANKED * (a.ndim > 0) + 2 * MATRICES * (a.ndim == 2) + 4 * IMAGES * (a.ndim == 3)
            kinds = RARE if q.integers(RARITY) == 0 else kinds
            made = kinds[q.integers(len(kinds))](a, b, q, int(q.integers(a.ndim)) if a.ndim else 0)
            if made is not None and made.size:
                pool.append(made.astype(F))
        return pool[-1], jnp.argmax(pool[-2].reshape(-1)).astype(jnp.int32)

    return policy
