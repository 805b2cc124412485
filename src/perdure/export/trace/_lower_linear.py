"""Products, convolutions and pooling."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from perdure.graph import Shape, Tensor, constant, size

from ._lower_shape import spread
from ._lowering import Builder, Equation, lowers, require


def dims(x: Tensor, axes: Sequence[int]) -> Shape:
    return tuple(x.shape[i] for i in axes)


def dense(low: Builder, x: Tensor, free: list[int], contracted: Sequence[int], weight: Tensor, outer: Tensor) -> Tensor:
    """`x` times constant weights `[N, K]` whose rows have the shape of `outer`; x's free axes first, then outer's."""
    k = size(dims(x, contracted))
    flat = low.reshape(low.transpose(x, [*free, *contracted]), (*dims(x, free), k))
    y = low.emit("Dense", flat, weight, activation=None)
    return low.reshape(y, (*dims(x, free), *outer.shape))


@lowers("dot_general")
def dot_general(low: Builder, eqn: Equation, a: Tensor, b: Tensor) -> Tensor:
    (ca, cb), (ba, bb) = (tuple(tuple(map(int, d)) for d in pair) for pair in eqn.params["dimension_numbers"])
    require(a.dtype == np.float32 and b.dtype == np.float32, f"of {a.dtype} by {b.dtype}; cast both to float32")
    fa = [i for i in range(a.rank) if i not in ca and i not in ba]
    fb = [i for i in range(b.rank) if i not in cb and i not in bb]
    k = size(dims(a, ca))
    if not ba and (a.is_constant or b.is_constant):
        (w, fw, cw), (x, fx, cx) = ((a, fa, ca), (b, fb, cb)) if a.is_constant else ((b, fb, cb), (a, fa, ca))
        weight = constant(w.value.transpose(*fw, *cw).reshape(-1, k), w.name)
        outer = constant(np.zeros(dims(w, fw), np.bool_))
        y = dense(low, x, fx, cx, weight, outer)
        return y if w is b else low.transpose(y, [*range(len(fx), y.rank), *range(len(fx))])
    batch = dims(a, ba)
    x = low.reshape(low.transpose(a, [*ba, *fa, *ca]), (*batch, size(dims(a, fa)), k))
    y = low.reshape(low.transpose(b, [*bb, *cb, *fb]), (*batch, k, size(dims(b, fb))))
    return low.reshape(low.emit("MatMul", x, y), (*batch, *dims(a, fa), *dims(b, fb)))


@lowers("conv_general_dilated")
def convolution(low: Builder, eqn: Equation, x: Tensor, w: Tensor) -> Tensor:
    p, rank = eqn.params, x.rank - 2
    numbers = p["dimension_numbers"]
    require(w.is_constant, "whose kernel depends on the observation")
    require(rank in (1, 2), f"over {rank} axes; only 1 and 2 are supported")
    require(x.dtype == np.float32, f"of {x.dtype}; cast to float32")
    require(p["batch_group_count"] == 1, "with batch groups")
    kernel = w.value.transpose(numbers.rhs_spec)  # -> O I spatial
    x = low.transpose(x, numbers.lhs_spec)  # -> N C spatial
    for axis, gap in enumerate(p["lhs_dilation"]):  # a transposed convolution is one over a spread-out image
        x = spread(low, x, 2 + axis, int(gap) - 1, np.float32(0)) if gap > 1 else x
    if rank == 1:
        kernel, x = kernel[:, :, None], low.reshape(x, (*x.shape[:2], 1, *x.shape[2:]))

    def two(values: Iterable[Any], fill: Any) -> tuple:
        return (fill,) * (2 - rank) + tuple(values)

    pads = two([(int(lo), int(hi)) for lo, hi in p["padding"]], (0, 0))
    x, pads = crop(low, x, pads)
    y = low.emit(
        "Conv",
        x,
        constant(kernel, w.name),
        strides=two(map(int, p["window_strides"]), 1),
        pads=pads,
        dilation=two(map(int, p["rhs_dilation"]), 1),
        groups=int(p["feature_group_count"]),
        activation=None,
        layout="NCHW",
    )
    y = low.reshape(y, (*y.shape[:2], *y.shape[3:])) if rank == 1 else y
    return low.transpose(y, np.argsort(numbers.out_spec).tolist())


def crop(low: Builder, x: Tensor, pads: tuple) -> tuple[Tensor, tuple]:
    """Negative padding takes rows away."""
    for axis, (before, after) in enumerate(pads):
        if before < 0 or after < 0:
            start = max(-before, 0)
            x = low.cut(x, 2 + axis, start, x.shape[2 + axis] - start - max(-after, 0))
    return x, tuple((max(before, 0), max(after, 0)) for before, after in pads)


@lowers("reduce_window_max", "reduce_window_min", "reduce_window_sum")
def pool(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    p, kind = eqn.params, eqn.primitive.name.removeprefix("reduce_window_")
    window, strides = [int(k) for k in p["window_dimensions"]], [int(s) for s in p["window_strides"]]
    spatial = [i for i in range(x.rank) if window[i] > 1 or strides[i] > 1] or [x.rank - 1]
    require(len(spatial) <= 2, "over more than two axes")
    require(set(p["base_dilation"]) | set(p["window_dilation"]) == {1}, "with gaps in its window")
    require(all(x.shape[i] >= 0 for i in spatial), "over the batch")
    require(
        all(tuple(p["padding"][i]) == (0, 0) for i in range(x.rank) if i not in spatial), "that pads a channel axis"
    )
    require(x.dtype == np.float32, f"of {x.dtype}; cast to float32")
    if kind == "min":
        x = low.emit("Neg", x)
    rest = [i for i in range(x.rank) if i not in spatial]
    ones = (1,) * (2 - len(spatial))
    moved = low.transpose(x, [*rest, *spatial])
    lead = dims(x, rest)
    images = lead[0] if lead else 1
    flat = low.reshape(moved, (images, size(lead[1:]), *ones, *dims(x, spatial)))
    y = low.emit(
        "Pool",
        flat,
        kind="sum" if kind == "sum" else "max",
        window=(*ones, *(window[i] for i in spatial)),
        strides=(*ones, *(strides[i] for i in spatial)),
        pads=((0, 0),) * len(ones) + tuple((int(p["padding"][i][0]), int(p["padding"][i][1])) for i in spatial),
        layout="NCHW",
    )
    y = low.reshape(y, (*lead, *y.shape[4 - len(spatial) :]))
    y = low.transpose(y, np.argsort([*rest, *spatial]).tolist())
    return low.emit("Neg", y) if kind == "min" else y
