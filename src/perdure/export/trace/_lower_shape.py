"""Shapes, reductions and order: what moves or gathers numbers without looking at them one by one."""

from typing import Any

import numpy as np

from perdure.graph import Tensor, constant, is_op

from ._lowering import Builder, Equation, integer_dtype, lowers, require

UNROLL_LIMIT = 64


@lowers("broadcast_in_dim")
def broadcast(low: Builder, eqn: Equation, x: Tensor, *dynamic: Tensor) -> Tensor:
    shape = low.shape(eqn.outvars[0].aval.shape)
    spread = [1] * len(shape)
    for axis, target in enumerate(eqn.params["broadcast_dimensions"]):
        spread[int(target)] = x.shape[axis]
    return low.emit("Broadcast", low.reshape(x, spread), shape=shape)


@lowers("reshape", "squeeze", "expand_dims")
def reshape(low: Builder, eqn: Equation, x: Tensor, *dynamic: Tensor) -> Tensor:
    return low.reshape(x, low.shape(eqn.outvars[0].aval.shape))


@lowers("transpose")
def transpose(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    return low.transpose(x, eqn.params["permutation"])


@lowers("concatenate")
def concatenate(low: Builder, eqn: Equation, *xs: Tensor) -> Tensor:
    return low.emit("Concat", *xs, axis=int(eqn.params["dimension"]))


@lowers("stack")
def stack(low: Builder, eqn: Equation, *xs: Tensor) -> Tensor:
    axis = int(eqn.params["axis"])
    return low.emit("Concat", *[low.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:])) for x in xs], axis=axis)


@lowers("unstack")
def unstack(low: Builder, eqn: Equation, x: Tensor) -> list[Tensor]:
    axis = int(eqn.params["axis"])
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])
    return [low.reshape(low.cut(x, axis, k, 1), rest) for k in range(x.shape[axis])]


@lowers("slice")
def static_slice(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    return low.slice(x, eqn.params["start_indices"], low.shape(eqn.outvars[0].aval.shape), eqn.params["strides"])


@lowers("split")
def split(low: Builder, eqn: Equation, x: Tensor) -> list[Tensor]:
    axis, ends = int(eqn.params["axis"]), np.cumsum([int(n) for n in eqn.params["sizes"]])
    return [low.cut(x, axis, int(end) - int(n), int(n)) for end, n in zip(ends, eqn.params["sizes"], strict=True)]


@lowers("tile")
def tile(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    for axis, count in enumerate(map(int, eqn.params["reps"])):
        x = low.emit("Concat", *[x] * count, axis=axis) if count > 1 else x
    return x


@lowers("rev")
def reverse(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    axes = [int(i) for i in eqn.params["dimensions"]]
    require(all(x.shape[i] >= 0 for i in axes), "mirrors the batch")
    starts = [d - 1 if i in axes else 0 for i, d in enumerate(x.shape)]
    return low.slice(x, starts, x.shape, [-1 if i in axes else 1 for i in range(x.rank)])


@lowers("pad")
def pad(low: Builder, eqn: Equation, x: Tensor, value: Tensor) -> Tensor:
    config = [tuple(map(int, c)) for c in eqn.params["padding_config"]]
    require(value.is_constant, "pads with a value that depends on the observation")
    for axis, (_, _, inner) in enumerate(config):
        if inner:  # a gap after each entry, then the last gap cut off
            x = spread(low, x, axis, inner, value.value)
    for axis, (before, after, _) in enumerate(config):
        if before < 0 or after < 0:
            start, stop = max(-before, 0), x.shape[axis] - max(-after, 0)
            x = low.cut(x, axis, start, stop - start)
    pads = tuple((max(before, 0), max(after, 0)) for before, after, _ in config)
    return low.emit("Pad", x, pads=pads, value=value.value.item()) if any(map(any, pads)) else x


def spread(low: Builder, x: Tensor, axis: int, gap: int, value: Any) -> Tensor:
    count = x.shape[axis]
    wide = (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :])
    pads = tuple((0, gap if i == axis + 1 else 0) for i in range(len(wide)))
    y = low.emit("Pad", low.reshape(x, wide), pads=pads, value=value.item())
    y = low.reshape(y, (*x.shape[:axis], count * (gap + 1), *x.shape[axis + 1 :]))
    return low.cut(y, axis, 0, count * (gap + 1) - gap)


@lowers("iota")
def iota(low: Builder, eqn: Equation) -> Tensor:
    shape, axis = low.shape(eqn.outvars[0].aval.shape), int(eqn.params["dimension"])
    require(shape[axis] >= 0, "counts the batch")
    count = np.arange(shape[axis], dtype=integer_dtype(eqn.params["dtype"]))
    return low.emit(
        "Broadcast", constant(count.reshape([-1 if k == axis else 1 for k in range(len(shape))])), shape=shape
    )


def reduce(low: Builder, eqn: Equation, x: Tensor, kind: str) -> Tensor:
    axes = tuple(sorted(int(i) for i in eqn.params["axes"]))
    require(all(x.shape[i] >= 0 for i in axes), "reduces over the batch")
    require(all(x.shape[i] > 0 for i in axes) or kind in ("sum", "prod"), "takes the largest of nothing")
    is_byte = x.dtype in (np.dtype(np.int8), np.dtype(np.uint8))
    require(not (is_byte and kind in ("sum", "prod")), f"wraps around in {x.dtype}")
    return low.emit("Reduce", x, kind=kind, axes=axes, keep=False)


@lowers("reduce_sum", "reduce_max", "reduce_min", "reduce_prod")
def reduce_numbers(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    kind = eqn.primitive.name.removeprefix("reduce_")
    return reduce_flags(low, eqn, x) if x.dtype == bool else reduce(low, eqn, x, kind)


@lowers("reduce_or", "reduce_and")
def reduce_flags(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    kind = {"or": "max", "max": "max", "and": "min", "min": "min"}[eqn.primitive.name.removeprefix("reduce_")]
    return low.emit("Lt", constant(np.int32(0)), reduce(low, eqn, low.cast(x, np.int32), kind))


@lowers("argmax", "argmin")
def arg_extreme(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    axes = eqn.params["axes"]
    require(len(axes) == 1 and x.shape[int(axes[0])] > 0, "works on one axis that is not empty")
    require(
        np.dtype(eqn.params["index_dtype"]) in (np.dtype(np.int32), np.dtype(np.uint32)),
        "gives a dtype other than int32",
    )
    x = x if x.dtype == np.float32 else low.cast(x, np.int32)
    if eqn.primitive.name == "argmin":
        x = low.emit("Neg", x)
    return low.emit("ArgMax", x, axis=int(axes[0]), keep=False)


@lowers("cumsum")
def cumsum(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    return low.emit("CumSum", x, axis=int(eqn.params["axis"]), reverse=bool(eqn.params["reverse"]))


@lowers("cumprod", "cummax", "cummin")
def cumulative(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    """No runtime has these, so they are written out entry by entry."""
    op = {"cumprod": "Mul", "cummax": "Max", "cummin": "Min"}[eqn.primitive.name]
    axis = int(eqn.params["axis"])
    require(0 < x.shape[axis] <= UNROLL_LIMIT, f"over {x.shape[axis]} entries is not unrolled (limit {UNROLL_LIMIT})")
    order = range(x.shape[axis])[:: -1 if eqn.params["reverse"] else 1]
    parts = [low.cut(x, axis, order[0], 1)]
    for k in order[1:]:
        parts.append(low.emit(op, parts[-1], low.cut(x, axis, k, 1)))
    return low.emit("Concat", *parts[:: -1 if eqn.params["reverse"] else 1], axis=axis)


@lowers("top_k")
def top_k(low: Builder, eqn: Equation, x: Tensor) -> list[Tensor]:
    require(int(eqn.params.get("axis", x.rank - 1)) in (-1, x.rank - 1), "works on the last axis only")
    return [low.emit("TopK", x, k=int(eqn.params["k"]), largest=True, index=is_index) for is_index in (False, True)]


@lowers("sort")
def sort(low: Builder, eqn: Equation, *xs: Tensor) -> list[Tensor]:
    require(eqn.params["num_keys"] == 1, "by several keys")
    axis, rank = int(eqn.params["dimension"]), xs[0].rank
    require(xs[0].shape[axis] >= 0, "sorts the batch")
    last = [*(i for i in range(rank) if i != axis), axis]
    rows = [low.transpose(x, last) for x in xs]
    ordered = sort_rows(low, rows)
    return [low.transpose(y, np.argsort(last).tolist()) for y in ordered]


def sort_rows(low: Builder, rows: list[Tensor]) -> list[Tensor]:
    """Along the last axis, ascending by the first of `rows`, the others alongside."""
    key, count = rows[0], rows[0].shape[-1]
    require(key.dtype in (np.dtype(np.float32), np.dtype(np.int32)), f"sorts {key.dtype}; cast to int32 first")
    values, index = (low.emit("TopK", key, k=count, largest=False, index=i) for i in (False, True))
    out = [values]
    for x in rows[1:]:
        base = x
        while base.node is not None and base.node.op in ("Broadcast", "Transpose", "Reshape"):
            base = base.node.inputs[0]
        is_iota = base.is_constant and np.array_equal(base.value.ravel(), np.arange(count))
        out.append(low.cast(index, x.dtype) if is_iota else take_along_rows(low, x, index))
    return out


def take_along_rows(low: Builder, x: Tensor, index: Tensor) -> Tensor:
    """`take_along_axis` on the last axis, any rank: one row after another."""
    count, taken = x.shape[-1], index.shape[-1]
    rows = 1
    for d in x.shape[:-1]:
        rows *= d
    require(not is_op(x, "Unsupported"), "reads something unsupported")
    flat = low.emit("Gather", low.reshape(x, (rows, count)), low.reshape(index, (rows, taken)), axis=1, batch_dims=1)
    return low.reshape(flat, index.shape)
