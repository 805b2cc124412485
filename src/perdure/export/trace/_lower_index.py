"""Reading and writing at positions that the observation decides: `x[i]`, dynamic slices, `x.at[i].set(v)`.

One gather reads everything: the indexed axes are made neighbours, merged into one, and read at one linear index.
Writing is a selection for each written entry, since few runtimes scatter.
"""

import itertools
from typing import Any

import numpy as np

from perdure.graph import Tensor, constant, size

from ._lower_shape import UNROLL_LIMIT
from ._lowering import Builder, Equation, lowers, require


def int32(value: Any) -> Tensor:
    return constant(np.asarray(value, np.int32))


def component(low: Builder, index: Tensor, k: int) -> Tensor:
    """`index[..., k]`"""
    if index.shape[-1] > 1:
        index = low.cut(index, index.rank - 1, k, 1)
    return low.cast(low.reshape(index, index.shape[:-1]), np.int32)


def clamp(low: Builder, i: Tensor, top: int) -> Tensor:
    return low.emit("Min", low.emit("Max", i, int32(0)), int32(top))


def missing_value(dtype: np.dtype) -> Any:
    """What JAX's "fill" mode reads outside of an array."""
    if dtype.kind == "f":
        return np.nan
    return True if dtype.kind == "b" else np.iinfo(dtype).max if dtype.kind == "u" else np.iinfo(dtype).min


def linear_index(
    low: Builder, index: Tensor, live: list[tuple[int, int]], shape: tuple[int, ...], sizes: tuple[int, ...]
) -> tuple[Tensor, Tensor, list[int]]:
    """Position in the merged axes, whether it is inside, and the axes that a window of more than one entry adds."""
    windowed = [axis for axis, _ in live if sizes[axis] > 1]
    position: Tensor | None = None
    inside: Tensor | None = None
    for axis, k in live:
        start = component(low, index, k)
        kept = clamp(low, start, shape[axis] - sizes[axis])
        fits = low.emit("Eq", start, kept)
        inside = fits if inside is None else low.emit("And", inside, fits)
        kept = low.reshape(kept, (*kept.shape, *(1 for _ in windowed)))
        if axis in windowed:
            steps = [sizes[axis] if a == axis else 1 for a in windowed]
            kept = low.emit("Add", kept, int32(np.arange(sizes[axis]).reshape(steps)))
        if position is not None:
            kept = low.emit("Add", low.emit("Mul", position, int32(shape[axis])), kept)
        position = kept
    assert position is not None
    assert inside is not None
    return position, inside, windowed


@lowers("gather")
def gather(low: Builder, eqn: Equation, x: Tensor, index: Tensor) -> Tensor:
    d, out = eqn.params["dimension_numbers"], low.shape(eqn.outvars[0].aval.shape)
    sizes, rank = low.shape(eqn.params["slice_sizes"]), x.rank
    x_batch, i_batch = [int(a) for a in d.operand_batching_dims], [int(a) for a in d.start_indices_batching_dims]
    live = sorted((int(a), k) for k, a in enumerate(d.start_index_map) if sizes[int(a)] != x.shape[int(a)])
    live = live or [(int(d.start_index_map[0]), 0)]  # an axis of one entry: nothing to choose
    require(all(x.shape[a] >= 0 for a, _ in live), "picks entries of the batch")
    axes = [a for a, _ in live]

    index = low.transpose(index, [*i_batch, *(i for i in range(index.rank) if i not in i_batch)])
    batch, own = index.shape[: len(i_batch)], index.shape[len(i_batch) : -1]
    position, inside, windowed = linear_index(low, index, live, x.shape, sizes)
    before = [] if x_batch else [a for a in range(axes[0]) if a not in axes]
    after = [a for a in range(rank) if a not in axes and a not in x_batch and a not in before]
    merged = size(x.shape[a] for a in axes)
    data = low.transpose(x, [*x_batch, *before, *axes, *after])
    data = low.reshape(
        data, (*([size(batch)] if x_batch else []), *(x.shape[a] for a in before), merged, *(x.shape[a] for a in after))
    )
    if x_batch:
        position = low.reshape(position, (size(batch), *position.shape[len(batch) :]))
        y = low.emit("Gather", data, position, axis=1, batch_dims=1)
        y = low.reshape(y, (*batch, *y.shape[1:]))
    else:
        y = low.emit("Gather", data, position, axis=len(before), batch_dims=0)

    # y has the axes: batch (or x's before), own, windows, after. JAX puts x's axes at offset_dims, the rest between.
    labels: list[Any] = [("batch", j) for j in range(len(batch))] if x_batch else list(before)
    labels += [("own", j) for j in range(len(own))] + windowed + after
    offsets = [int(q) for q in d.offset_dims]
    gone = {int(a) for a in d.collapsed_slice_dims} | set(x_batch)
    kept = [a for a in range(rank) if a not in gone]
    free = iter(_index_labels(i_batch, index.rank - 1))
    target = [kept[offsets.index(q)] if q in offsets else next(free) for q in range(len(out))]
    dropped = [i for i, label in enumerate(labels) if label not in target]  # collapsed axes of one entry
    y = low.reshape(low.transpose(y, [*(labels.index(t) for t in target if t in labels), *dropped]), out)
    if "FILL" not in str(eqn.params["mode"]) or (inside.is_constant and inside.value.all()):
        return y
    order = [labels_index(t, len(batch)) for t in target if isinstance(t, tuple)]
    inside = low.reshape(low.transpose(inside, order), [1 if q in offsets else s for q, s in enumerate(out)])
    return low.emit("Where", inside, y, constant(np.asarray(missing_value(x.dtype), x.dtype)))


def _index_labels(i_batch: list[int], rank: int) -> list[tuple[str, int]]:
    """The index's axes in their original order, as labels."""
    own = itertools.count()
    return [("batch", i_batch.index(i)) if i in i_batch else ("own", next(own)) for i in range(rank)]


def labels_index(label: tuple[str, int], num_batch: int) -> int:
    return label[1] + (num_batch if label[0] == "own" else 0)


@lowers("dynamic_slice")
def dynamic_slice(low: Builder, eqn: Equation, x: Tensor, *starts: Tensor) -> Tensor:
    sizes = low.shape(eqn.outvars[0].aval.shape)
    require(all(s.is_constant for s in starts), "starts at a place shared by the whole batch")
    at = [int(np.clip(s.value, 0, max(d - n, 0))) for s, d, n in zip(starts, x.shape, sizes, strict=True)]
    return low.slice(x, at, sizes)


@lowers("dynamic_update_slice")
def dynamic_update_slice(low: Builder, eqn: Equation, x: Tensor, update: Tensor, *starts: Tensor) -> Tensor:
    require(all(s.is_constant for s in starts), "starts at a place shared by the whole batch")
    at = [int(np.clip(s.value, 0, max(d - n, 0))) for s, d, n in zip(starts, x.shape, update.shape, strict=True)]
    return paste(low, x, update, at)


def paste(low: Builder, x: Tensor, update: Tensor, at: list[int]) -> Tensor:
    """`x` with `update` written at a fixed place: axis by axis, what is before, the update, what is behind."""
    for axis in range(x.rank):
        if update.shape[axis] != x.shape[axis]:
            start, stop = at[axis], at[axis] + update.shape[axis]
            # The parts around the update, where the later axes are still narrow: cut x to the update's extent there.
            around = x
            for other in range(axis + 1, x.rank):
                if update.shape[other] != x.shape[other]:
                    around = low.cut(around, other, at[other], update.shape[other])
            parts = [low.cut(around, axis, 0, start)] if start else []
            parts.append(update)
            if stop < x.shape[axis]:
                parts.append(low.cut(around, axis, stop, x.shape[axis] - stop))
            update = low.emit("Concat", *parts, axis=axis)
    return update


UPDATES = {"scatter": None, "scatter-add": "Add", "scatter_add": "Add", "scatter-mul": "Mul", "scatter_mul": "Mul",
           "scatter-min": "Min", "scatter_min": "Min", "scatter-max": "Max", "scatter_max": "Max"}  # fmt: skip


@lowers(*UPDATES)
def scatter(low: Builder, eqn: Equation, x: Tensor, index: Tensor, update: Tensor) -> Tensor:
    """`x.at[...].set(v)` and its kin: for each written entry, x where the position differs, else the new value."""
    d, op = eqn.params["dimension_numbers"], UPDATES[eqn.primitive.name]
    x_batch, i_batch = [int(a) for a in d.operand_batching_dims], [int(a) for a in d.scatter_indices_batching_dims]
    window_dims, axes = [int(a) for a in d.update_window_dims], [int(a) for a in d.scatter_dims_to_operand_dims]
    inserted = [int(a) for a in d.inserted_window_dims]
    require(all(x.shape[a] >= 0 for a in axes), "writes to entries of the batch")
    own_dims = [i for i in range(index.rank - 1) if i not in i_batch]
    rows = size(index.shape[i] for i in own_dims)

    # The update as (rows, x's axes): written axes at their window's extent, the others whole.
    row_dims = [q for q in range(update.rank) if q not in window_dims]  # one for each of the index's axes but the last
    by_axis = dict(zip([a for a in range(x.rank) if a not in inserted and a not in x_batch], window_dims, strict=True))
    by_axis |= {a: row_dims[i] for a, i in zip(x_batch, i_batch, strict=True)}
    present = [a for a in range(x.rank) if a in by_axis]
    values = low.transpose(update, [*(row_dims[i] for i in own_dims), *(by_axis[a] for a in present)])
    extent = [update.shape[by_axis[a]] if a in by_axis else 1 for a in range(x.rank)]
    values = low.reshape(values, (rows, *extent))
    require(rows >= 0, "writes as many entries as the batch")

    places = [component(low, index, k) for k in range(len(axes))]
    mode = str(eqn.params["mode"])
    if rows == 1 and op is None and all(p.is_constant for p in places):
        at = [0] * x.rank
        for a, place in zip(axes, places, strict=True):
            at[a] = int(place.value.ravel()[0])
        if all(0 <= at[a] <= x.shape[a] - extent[a] for a in axes):
            return paste(low, x, low.reshape(values, tuple(extent)), at)
    require(rows * size(extent[a] for a in axes) <= UNROLL_LIMIT, f"writes more than {UNROLL_LIMIT} entries")

    batch_shape = [x.shape[a] if a in x_batch else 1 for a in range(x.rank)]
    for row in range(rows):
        starts = [low.reshape(_row(low, p, own_dims, row), batch_shape) for p in places]
        fits = _fits(low, starts, axes, x, extent) if "FILL" in mode else None
        if "CLIP" in mode:
            starts = [clamp(low, s, x.shape[a] - extent[a]) for s, a in zip(starts, axes, strict=True)]
        value = low.reshape(low.cut(values, 0, row, 1), tuple(extent))
        x = _write(low, x, value, starts, axes, fits, op)
    return x


def _row(low: Builder, place: Tensor, own_dims: list[int], row: int) -> Tensor:
    """The row-th position: the index's own axes removed, its batch axes left."""
    shape = [place.shape[i] for i in own_dims]
    for axis, k in zip(own_dims, np.unravel_index(row, shape) if shape else (), strict=True):
        place = low.cut(place, axis, int(k), 1)
    return place


def _fits(low: Builder, starts: list[Tensor], axes: list[int], x: Tensor, extent: list[int]) -> Tensor:
    """A window that is not wholly inside is not written at all."""
    fits: Tensor | None = None
    for start, a in zip(starts, axes, strict=True):
        inside = low.emit("Eq", start, clamp(low, start, x.shape[a] - extent[a]))
        fits = inside if fits is None else low.emit("And", fits, inside)
    assert fits is not None
    return fits


def _write(
    low: Builder, x: Tensor, value: Tensor, starts: list[Tensor], axes: list[int], fits: Tensor | None, op: str | None
) -> Tensor:
    for offsets in itertools.product(*[range(value.shape[a]) for a in axes]):
        hit, entry = fits, value
        for start, a, offset in zip(starts, axes, offsets, strict=True):
            count = np.arange(x.shape[a], dtype=np.int32).reshape([-1 if i == a else 1 for i in range(x.rank)])
            here = low.emit("Eq", low.emit("Add", start, int32(offset)) if offset else start, constant(count))
            hit = here if hit is None else low.emit("And", hit, here)
            entry = low.cut(entry, a, offset, 1) if entry.shape[a] > 1 else entry
        assert hit is not None
        x = low.emit("Where", hit, entry if op is None else low.emit(op, x, entry), x)
    return x
