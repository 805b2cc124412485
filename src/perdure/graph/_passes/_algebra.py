"""Rules about values: constants, identities, integer ranges, clipping."""

import numpy as np

from .._graph import Node, Tensor, constant, producer, scalar, size
from .._interpret import evaluate
from .._operators import ELEMENTWISE, emit

FOLD_LIMIT = 4096  # a constant is not blown up by a broadcast past this many entries


def fold(node: Node, sole: bool) -> Tensor | None:
    """Compute what depends on constants alone."""
    if node.op == "Unsupported" or not all(t.is_constant for t in node.inputs) or any(d < 0 for d in node.out.shape):
        return None
    if node.op == "Broadcast" and size(node.out.shape) > max(FOLD_LIMIT, node.inputs[0].value.size):
        return None
    with np.errstate(all="ignore"):
        value = np.asarray(evaluate(node, [t.value for t in node.inputs], 1)).astype(node.out.dtype)
    return constant(value, node.inputs[0].name)


def drop_identity(node: Node, sole: bool) -> Tensor | None:
    """Operators that change nothing."""
    x, out = node.inputs[0], node.out
    match node.op:
        case "Reshape" | "Broadcast" if out.shape == x.shape:
            return x
        case "Transpose" if node.attrs["perm"] == tuple(range(x.rank)):
            return x
        case "Cast" if out.dtype == x.dtype:
            return x
        case "Slice" if out.shape == x.shape and set(node.attrs["steps"]) <= {1}:
            return x
        case "Concat" if len(node.inputs) == 1:
            return x
        case "Concat" if any(0 in t.shape for t in node.inputs) and any(0 not in t.shape for t in node.inputs):
            return emit("Concat", *[t for t in node.inputs if 0 not in t.shape], **node.attrs)
        case "Reduce" if not node.attrs["axes"]:
            return x
    neutral: dict[str, float] = {"Max": -np.inf, "Min": np.inf, "Mul": 1, "Div": 1}
    if x.dtype.kind == "i":  # a float is left alone: -0.0 + 0.0 is 0.0
        neutral |= {"Add": 0, "Sub": 0}
    if node.op in neutral and x.dtype != bool:
        for i, j in ((0, 1), (1, 0)):
            y, c = node.inputs[i], node.inputs[j]
            is_neutral = c.is_constant and c.value.size and (c.value == neutral[node.op]).all()
            if is_neutral and y.shape == out.shape and not (node.op in ("Div", "Sub") and j == 0):
                return y
    return None


def compose(node: Node, sole: bool) -> Tensor | None:
    """One Reshape, Transpose, Broadcast, Relu or Not instead of two in a row."""
    inner = producer(node.inputs[0], node.op)
    if inner is None:
        return None
    y = inner.inputs[0]
    match node.op:
        case "Reshape" | "Broadcast":
            return emit(node.op, y, **node.attrs)
        case "Transpose":
            return emit("Transpose", y, perm=tuple(inner.attrs["perm"][p] for p in node.attrs["perm"]))
        case "Relu":
            return node.inputs[0]
        case "Not":
            return y
    return None


def simplify_logic(node: Node, sole: bool) -> Tensor | None:
    """Comparisons of conditions, selections that are decided, And and Or with a constant."""
    x, out = node.inputs[0], node.out
    if node.op in ("Eq", "Le") and (value := scalar(node.inputs[1])) in (0, 1) and value is not None:
        cast = producer(x, "Cast")
        if node.op == "Eq" and x.dtype == bool:
            return x if value else emit("Not", x)
        if cast is not None and cast.inputs[0].dtype == bool and cast.inputs[0].shape == out.shape:
            if node.op == "Eq":  # cond and switch compare int32(condition)
                return cast.inputs[0] if value else emit("Not", cast.inputs[0])
            return None if value else emit("Not", cast.inputs[0])
    if node.op in ("And", "Or"):
        for i, j in ((0, 1), (1, 0)):
            decided = scalar(node.inputs[j])
            if decided is not None and decided == (node.op == "And") and node.inputs[i].shape == out.shape:
                return node.inputs[i]
    if node.op != "Where":
        return None
    if (flip := producer(x, "Not")) is not None:
        return emit("Where", flip.inputs[0], node.inputs[2], node.inputs[1])
    if node.inputs[1] is node.inputs[2] and node.inputs[1].shape == out.shape:
        return node.inputs[1]
    if (decided := scalar(x)) is not None and (y := node.inputs[1 if decided else 2]).shape == out.shape:
        return y
    return None


Range = tuple[int, int]


def union(ranges: list[Range | None]) -> Range | None:
    known = [r for r in ranges if r is not None]
    return (min(lo for lo, _ in known), max(hi for _, hi in known)) if known and len(known) == len(ranges) else None


def integer_range(t: Tensor, depth: int = 12) -> Range | None:
    """Bounds of an integer tensor, where its producers tell: positions from ArgMax and what is computed from them."""
    if t.is_constant:
        return (int(t.value.min()), int(t.value.max())) if t.value.size and t.dtype.kind in "iub" else None
    if t.node is None or t.dtype.kind not in "iu" or depth == 0:
        return (0, 255) if t.dtype == np.uint8 else (0, 1) if t.dtype == bool else None
    node = t.node
    if node.op in ("ArgMax", "TopK") and (node.op == "ArgMax" or node.attrs["index"]):
        return 0, node.inputs[0].shape[node.attrs.get("axis", -1)] - 1
    if node.op in ("Reshape", "Transpose", "Broadcast", "Slice", "Cast") and node.inputs[0].dtype.kind in "iub":
        return integer_range(node.inputs[0], depth - 1)
    if node.op in ("Concat", "Where"):
        return union([integer_range(x, depth - 1) for x in node.inputs[node.op == "Where" :]])
    if node.op not in ("Add", "Sub", "Mul", "Min", "Max"):
        return None
    a, b = (integer_range(x, depth - 1) for x in node.inputs)
    if a is None or b is None:
        return None
    match node.op:
        case "Add":
            bounds = (a[0] + b[0], a[1] + b[1])
        case "Sub":
            bounds = (a[0] - b[1], a[1] - b[0])
        case "Mul":
            corners = [x * y for x in a for y in b]
            bounds = (min(corners), max(corners))
        case "Min":
            bounds = (min(a[0], b[0]), min(a[1], b[1]))
        case _:
            bounds = (max(a[0], b[0]), max(a[1], b[1]))
    return bounds if max(map(abs, bounds)) < 2**31 - 1 else None


def use_ranges(node: Node, sole: bool) -> Tensor | None:
    """`x[argmax]` normalises negative indices and clips; a position needs neither."""
    if node.op not in ("Lt", "Le", "Eq", "Min", "Max") or node.inputs[0].dtype.kind not in "iu":
        return None
    x, y = node.inputs

    def decided(value: bool) -> Tensor:
        return emit("Broadcast", constant(np.asarray(value)), shape=node.out.shape)

    if node.op == "Eq" and x is y:
        return decided(True)
    a, b = integer_range(x), integer_range(y)
    if a is None or b is None:
        return None
    if node.op in ("Lt", "Le"):
        reach = int(node.op == "Le")  # x <= y is x < y + 1
        if a[1] < b[0] + reach:
            return decided(True)
        return decided(False) if a[0] >= b[1] + reach else None
    if node.op == "Eq":
        return decided(False) if a[1] < b[0] or b[1] < a[0] else None
    for one, first, second in ((x, a, b), (y, b, a)):
        is_winner = first[0] >= second[1] if node.op == "Max" else first[1] <= second[0]
        if is_winner and one.shape == node.out.shape:
            return one
    return None


def uniform(t: Tensor) -> float | int | bool | None:
    """The one value of a constant whose entries are all equal."""
    if t.is_constant and t.value.size and (t.value == t.value.flat[0]).all():
        return t.value.flat[0].item()
    return None


def clip(node: Node, sole: bool) -> Tensor | None:
    """Max and Min with one number to Clip, two Clips to one, `max(x, 0)` to Relu."""
    if node.op in ("Max", "Min"):
        x, c = node.inputs if node.inputs[1].is_constant else node.inputs[::-1]
        value = uniform(c)
        if value is None or x.dtype != np.float32 or x.shape != node.out.shape:
            return None
        if node.op == "Max" and value == 0:
            return emit("Relu", x)
        return emit("Clip", x, lo=value if node.op == "Max" else -np.inf, hi=np.inf if node.op == "Max" else value)
    inner = node.inputs[0].node
    if node.op != "Clip" or not sole or inner is None or inner.op not in ("Clip", "Relu"):
        return None
    lo, hi = (0.0, np.inf) if inner.op == "Relu" else (inner.attrs["lo"], inner.attrs["hi"])
    if lo <= node.attrs["hi"] and node.attrs["lo"] <= hi:
        return emit("Clip", inner.inputs[0], lo=max(lo, node.attrs["lo"]), hi=min(hi, node.attrs["hi"]))
    return None


def merge_scale(node: Node, sole: bool) -> Tensor | None:
    """`(x * a) * b` with constants is `x * (a * b)`: an ulp or so apart."""
    if node.op != "Mul" or not sole or node.out.dtype != np.float32:
        return None
    for i, j in ((0, 1), (1, 0)):
        inner, factor = producer(node.inputs[i], "Mul"), node.inputs[j]
        if inner is None or not factor.is_constant:
            continue
        for p, q in ((0, 1), (1, 0)):
            if inner.inputs[q].is_constant and not inner.inputs[p].is_constant:
                product = factor.value * inner.inputs[q].value
                return (
                    emit("Mul", inner.inputs[p], constant(product, factor.name)) if np.isfinite(product).all() else None
                )
    return None


def shrink_constants(node: Node, sole: bool) -> Tensor | None:
    """A nameless constant of equal entries becomes one number, where the others have the full shape."""
    if node.op not in ELEMENTWISE or len(node.inputs) < 2:
        return None

    def can_shrink(t: Tensor) -> bool:
        return t.is_constant and t.rank > 0 and (t.value.size == 1 or (not t.name and uniform(t) is not None))

    wide = [t for t in node.inputs if not can_shrink(t)]
    if len(wide) == len(node.inputs) or not wide:
        return None
    inputs = [constant(t.value.flat[0], t.name) if can_shrink(t) else t for t in node.inputs]
    result = emit(node.op, *inputs, **node.attrs)
    return result if result.shape == node.out.shape else None


RULES = (fold, drop_identity, compose, simplify_logic, use_ranges, shrink_constants, clip, merge_scale)
