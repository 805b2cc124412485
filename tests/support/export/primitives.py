"""Each group of primitives, as functions that a policy may be made of."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests.support.export.comparison import F

VECTOR = {"x": ((6,), F)}
MATRIX = {"x": ((3, 5), F)}
PAIR = {"x": ((6,), F), "y": ((6,), F)}
IMAGE = {"x": ((9, 8, 3), F)}
table = jax.random.normal(jax.random.key(0), (5, 6))
kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 4)) * 0.3
conv1d = eqx.nn.Conv1d(9, 4, 3, key=jax.random.key(2))
grouped = eqx.nn.Conv2d(9, 6, 3, groups=3, key=jax.random.key(3))

layer_norm, rms_norm, group_norm = eqx.nn.LayerNorm(5), eqx.nn.RMSNorm(5), eqx.nn.GroupNorm(1, 3)
heads = eqx.nn.MultiheadAttention(2, 6, 5, 5, 5, key=jax.random.key(4))


@jax.custom_jvp
def own_slope(x):
    return jnp.where(x > 0, x, jnp.expm1(x / 4))


own_slope.defjvp(lambda x, dx: (own_slope(*x), dx[0]))


@jax.custom_vjp
def own_gradient(x):
    return jnp.tanh(x) * x


own_gradient.defvjp(lambda x: (own_gradient(x), x), lambda x, dy: (dy * x,))


def nhwc(x, **settings):
    return lax.conv_general_dilated(x[None], kernel, dimension_numbers=("NHWC", "HWIO", "NHWC"), **settings)[0]


UNARY = {
    "neg": lambda x: -x,
    "abs": jnp.abs,
    "sign": jnp.sign,
    "floor": jnp.floor,
    "ceil": jnp.ceil,
    "round": jnp.round,
    "exp": lambda x: jnp.exp(x / 4),
    "log": lambda x: jnp.log(jnp.abs(x) + 0.1),
    "log1p": lambda x: jnp.log1p(jnp.abs(x)),
    "expm1": lambda x: jnp.expm1(x / 4),
    "sqrt": lambda x: jnp.sqrt(jnp.abs(x)),
    "tanh": jnp.tanh,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tan": lambda x: jnp.tan(x / 8),
    "asin": lambda x: jnp.arcsin(jnp.tanh(x)),
    "acos": lambda x: jnp.arccos(jnp.tanh(x)),
    "atan": jnp.arctan,
    "sinh": lambda x: jnp.sinh(x / 4),
    "cosh": lambda x: jnp.cosh(x / 4),
    "asinh": jnp.arcsinh,
    "acosh": lambda x: jnp.arccosh(1.5 + jnp.abs(x)),
    "atanh": lambda x: jnp.arctanh(jnp.tanh(x) * 0.9),
    "erf": jax.scipy.special.erf,
    "erfc": jax.scipy.special.erfc,
    "exp2": lambda x: jnp.exp2(x / 4),
    "cbrt": jnp.cbrt,
    "rsqrt": lambda x: lax.rsqrt(jnp.abs(x) + 0.5),
    "square": jnp.square,
    "cube": lambda x: x**3,
    "inverse square": lambda x: (jnp.abs(x) + 1) ** -2,
    "power": lambda x: jnp.abs(x) ** 0.7,
    "sigmoid": jax.nn.sigmoid,
    "half away": lambda x: lax.round(x * 2) / 2,
    "mod": lambda x: x % 3.0,
    "fmod": lambda x: lax.rem(x, F(3)),
    "nan_to_num": jnp.nan_to_num,
    "isfinite": jnp.isfinite,
    "clip": lambda x: jnp.clip(x, -0.5, 0.7),
    "clip by vector": lambda x: jnp.clip(x, table[0], 3.0),
    "log_softmax": jax.nn.log_softmax,
    "softmax": jax.nn.softmax,
    "logsumexp": jax.nn.logsumexp,
    "relu6": jax.nn.relu6,
    "gelu": jax.nn.gelu,
    "exact gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "softplus": jax.nn.softplus,
    "leaky": jax.nn.leaky_relu,
    "mish": jax.nn.mish,
    "silu": jax.nn.silu,
    "hard tanh": jax.nn.hard_tanh,
    "celu": jax.nn.celu,
    "glu": jax.nn.glu,
}
BINARY = {
    "arithmetic": lambda x, y: (x + y) * (x - y) / (jnp.abs(y) + 1),
    "atan2": jnp.arctan2,
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "compare": lambda x, y: (x < y, x <= y, x > y, x >= y, x == y, x != y),
    "logic": lambda x, y: ((x > 0) & (y > 0), (x > 0) | (y > 0), (x > 0) ^ (y > 0), ~(x > 0)),
    "where": lambda x, y: jnp.where(x > y, x, 2 * y),
    "select": lambda x, y: jnp.select([x > 1, y > 1], [x, y], 0.5),
    "where of flags": lambda x, y: jnp.where(x > 0, y > 0, y > 1),
    "flags ordered": lambda x, y: (x > 0) < (y > 0),
    "hypot": jnp.hypot,
    "logaddexp": jnp.logaddexp,
    "float power": lambda x, y: jnp.abs(x) ** jnp.tanh(y),
}
SHAPE = {
    "reshape": lambda x: x.reshape(5, 3),
    "transpose": lambda x: x.T,
    "flatten transposed": lambda x: x.T.reshape(-1),
    "moveaxis": lambda x: jnp.moveaxis(x[None, ..., None], 1, 3),
    "concatenate": lambda x: jnp.concatenate([x, x * 2], 1),
    "stack": lambda x: jnp.stack([x, -x], 1),
    "split": lambda x: jnp.split(x, [2, 3], 1)[1:],
    "flip": lambda x: jnp.flip(x, 1),
    "tile": lambda x: jnp.tile(x, (2, 3)),
    "repeat": lambda x: jnp.repeat(x, 2, 0),
    "roll": lambda x: jnp.roll(x, 2, 1),
    "pad": lambda x: jnp.pad(x, ((1, 0), (0, 2)), constant_values=0.5),
    "strided": lambda x: x[::2, 4:0:-2],
    "interior pad": lambda x: lax.pad(x, F(0.5), ((1, 0, 2), (-1, 0, 1))),
    "iota": lambda x: x + jnp.arange(5.0),
    "broadcast": lambda x: jnp.broadcast_to(x[0], (4, 5)),
    "diagonal": lambda x: jnp.diag(x[:, :3]),
    "triangle": lambda x: jnp.tril(x),
    "meshgrid": lambda x: jnp.meshgrid(x[0], x[1, :2]),
    "unstack": lambda x: tuple(x),
    "pad flags": lambda x: jnp.pad(x > 0, 1),
}
REDUCTION = {
    "sum": lambda x: x.sum(),
    "sum of axis": lambda x: x.sum(0),
    "mean kept": lambda x: x - x.mean(1, keepdims=True),
    "max": lambda x: x.max(1),
    "min": lambda x: x.min(0),
    "prod": lambda x: (x / 2).prod(1),
    "var": lambda x: x.var(1),
    "any": lambda x: (x > 1).any(1),
    "all": lambda x: (x > -1).all(0),
    "count": lambda x: (x > 0).sum(1),
    "argmax": lambda x: x.argmax(1),
    "argmin": lambda x: x.argmin(0),
    "flat argmax": lambda x: x.argmax(),
    "argmax of flags": lambda x: (x > 0).argmax(1),
    "cumsum": lambda x: x.cumsum(1),
    "reversed": lambda x: lax.cumsum(x, 0, True),
    "cumprod": lambda x: jnp.cumprod(x / 2, 1),
    "cummax": lambda x: lax.cummax(x, 1),
    "norm": jnp.linalg.norm,
    "sort": lambda x: jnp.sort(x, 0),
    "sort last": lambda x: jnp.sort(x),
    "argsort": lambda x: jnp.argsort(x, 1),
    "descending": lambda x: jnp.sort(x, descending=True),
    "top_k": lambda x: lax.top_k(x, 2),
    "median": lambda x: jnp.median(x, 1),
    "sort by key": lambda x: lax.sort((x, x * 2), num_keys=1)[1],
    "quantile": lambda x: jnp.quantile(x, 0.3, axis=1),
    "layer norm": lambda x: jax.vmap(layer_norm)(x),
    "RMS norm": lambda x: jax.vmap(rms_norm)(x),
    "group norm": lambda x: group_norm(x),
    "mean of integers": lambda x: x.astype(jnp.int32).mean(),
}
INDEX = {
    "constant list": lambda x: x[:, jnp.array([0, 2, -1])],
    "row by argmax": lambda x: x[jnp.argmax(x[:, 0])],
    "column by argmax": lambda x: x[:, jnp.argmax(x[0])],
    "two arrays": lambda x: x[jnp.array([0, 2]), jnp.array([1, 4])],
    "two arrays, an axis of one entry": lambda x: x[..., None][jnp.array([0, 2]), :, jnp.array([0, 0])],
    "two dynamic": lambda x: x[jnp.argmax(x[:, 0]), jnp.argmax(x[0])],
    "table": lambda x: table[jnp.argmax(x[0])],
    "table of many": lambda x: table[jnp.argmax(x, 1)],
    "take_along": lambda x: jnp.take_along_axis(x, jnp.argsort(x, 1), 1),
    "take fill": lambda x: jnp.take(x[0], jnp.array([1, 7, -9]), mode="fill"),
    "dynamic slice": lambda x: lax.dynamic_slice_in_dim(x, jnp.argmax(x[0]), 2, 1),
    "window of two axes": lambda x: lax.dynamic_slice(x, (jnp.argmax(x[:, 0]), jnp.argmax(x[0])), (2, 3)),
    "nested": lambda x: jax.vmap(lambda r: r[jnp.argmax(r)])(x),
    "nested window": lambda x: jax.vmap(lambda r: lax.dynamic_slice(r, (jnp.argmax(r),), (2,)))(x),
    "axes apart": lambda x: jnp.stack([x, x + 1], 1)[jnp.argmax(x[:, 0]), :, jnp.argmax(x[0])],
    "set": lambda x: x.at[1].set(0.0),
    "set slice": lambda x: x.at[1:, 2:4].set(0.5),
    "set dynamic": lambda x: x.at[jnp.argmax(x[:, 0])].set(9.0),
    "add dynamic": lambda x: x.at[jnp.argmax(x[:, 0]), jnp.argmin(x[0])].add(1.0),
    "add list": lambda x: x.at[:, jnp.array([0, 2, 0])].add(1.0),
    "multiply": lambda x: x.at[0].multiply(2.0),
    "maximum": lambda x: x.at[:, 1].max(0.0),
    "dropped": lambda x: x.at[:, 9].set(1.0),
    "update window": lambda x: lax.dynamic_update_slice(x, x[:1, :2] * 2, (jnp.argmax(x[:, 0]), 1)),
    "searchsorted": lambda x: jnp.searchsorted(jnp.array([-1.0, 0.0, 0.5, 2.0]), x[0]),
    "digitize": lambda x: jnp.digitize(x[0], jnp.array([-1.0, 0.5])),
    "interp": lambda x: jnp.interp(x[0], jnp.array([-1.0, 0.0, 2.0]), jnp.array([0.0, 1.0, -3.0])),
    "one_hot": lambda x: jax.nn.one_hot(jnp.argmax(x, 1), 5),
    "slice beyond": lambda x: lax.dynamic_slice(x, (0, 9), (2, 2)),
}
PRODUCT = {
    "vector": lambda x: x[0] @ table[:, 0],
    "matrix": lambda x: x @ table,
    "left": lambda x: table.T @ x[0],
    "both": lambda x: x @ x.T,
    "einsum": lambda x: jnp.einsum("ij,kj,k->i", x, x, table[0, :3]),
    "outer": lambda x: jnp.outer(x[0], x[1]),
    "batched": lambda x: jnp.einsum("hij,hjk->hik", jnp.stack([x, 2 * x]), jnp.stack([x.T, x.T + 1])),
    "weights per row": lambda x: jax.vmap(lambda r, w: w @ r)(x, jnp.stack([table.T] * 3)),
    "dot": lambda x: jnp.dot(x[0], x[1]),
    "attention": lambda x: jax.nn.softmax(x @ x.T / 2) @ x,
    "multi-head attention": lambda x: heads(jnp.pad(x, ((0, 0), (0, 1))), x, x),
    "tensordot": lambda x: jnp.tensordot(x, table, ((1,), (0,))),
}
IMAGES = {
    "same": lambda x: nhwc(x, window_strides=(1, 1), padding="SAME"),
    "strided": lambda x: nhwc(x, window_strides=(2, 3), padding="VALID"),
    "dilated": lambda x: nhwc(x, window_strides=(1, 1), padding="VALID", rhs_dilation=(2, 2)),
    "transposed": lambda x: nhwc(x, window_strides=(1, 1), padding=((1, 2), (2, 1)), lhs_dilation=(2, 2)),
    "negative padding": lambda x: nhwc(x, window_strides=(1, 1), padding=((-1, 0), (0, -2))),
    "max pool": lambda x: eqx.nn.MaxPool2d(3, 2, padding=1)(x.transpose(2, 0, 1)),
    "average pool": lambda x: eqx.nn.AvgPool2d(2, 2)(x.transpose(2, 0, 1)),
    "min pool": lambda x: lax.reduce_window(x, F(np.inf), lax.min, (2, 2, 1), (2, 2, 1), "VALID"),
    "sum pool of rows": lambda x: lax.reduce_window(x, F(0), lax.add, (3, 1, 1), (1, 1, 1), "SAME"),
    "global mean": lambda x: jnp.mean(jax.nn.relu(nhwc(x, window_strides=(2, 2), padding="VALID")), (0, 1)),
    "frames": lambda x: jax.vmap(lambda f: nhwc(f, window_strides=(2, 2), padding="SAME"))(jnp.stack([x, -x])),
    "then flat": lambda x: jnp.tanh(nhwc(x, window_strides=(3, 3), padding="VALID").reshape(-1)[:8] @ jnp.ones((8, 2))),
    "one axis": lambda x: conv1d(x[..., 0]),
    "groups": lambda x: grouped(x),
    "1-d pool": lambda x: eqx.nn.MaxPool1d(2, 2)(x[..., 0]),
}
CONTROL = {
    "cond": lambda x: lax.cond(x[0] > 0, jnp.tanh, lambda v: v * v, x),
    "switch": lambda x: lax.switch(jnp.argmax(x[:3]), [jnp.tanh, jnp.abs, jnp.negative], x),
    "scan": lambda x: lax.scan(lambda c, v: (jnp.tanh(c + v), c * v), 0.5, x),
    "reverse scan": lambda x: lax.scan(lambda c, v: (c * 0.5 + v, c), 0.0, x, reverse=True),
    "fori": lambda x: lax.fori_loop(0, 4, lambda i, c: c * 0.5 + x[i], x),
    "map": lambda x: lax.map(lambda v: v * 2, x),
    "associative scan": lambda x: lax.associative_scan(jnp.add, x),
    "jit": lambda x: jax.jit(jnp.tanh)(x),
    "checkpoint": lambda x: jax.checkpoint(jnp.tanh)(x),
    "grad": lambda x: jax.grad(lambda v: jnp.sum(jnp.tanh(v) ** 2))(x),
    "stop": lambda x: lax.stop_gradient(x) * 2,
    "constant loop": lambda x: x + lax.while_loop(lambda c: c < 10, lambda c: c * 2, 1.0),
    "pass through": lambda x: (x, jnp.arange(3.0), x > 0),
    "error_if": lambda x: eqx.error_if(x, jnp.any(jnp.isnan(x)), "NaN observation") * 2,
    "custom_jvp": lambda x: jax.nn.relu(x),
    "own custom_jvp": own_slope,
    "own custom_vjp": own_gradient,
    "platform": lambda x: lax.platform_dependent(x, cpu=jnp.tanh, default=jnp.sin),
}


def named(cases):
    return [pytest.param(function, id=name) for name, function in cases.items()]
