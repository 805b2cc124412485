"""How each operator of the graph is written as one expression of numpy."""

from typing import Any

import numpy as np

from perdure.graph import Node, Tensor, scalar

from .._writing import entry, lacks

SYMBOLS = {
    "Neg": "-{0}", "Add": "{0} + {1}", "Sub": "{0} - {1}", "Mul": "{0} * {1}", "Div": "{0} / {1}", "Pow": "{0} ** {1}",
    "Eq": "{0} == {1}", "Lt": "{0} < {1}", "Le": "{0} <= {1}", "Not": "~{0}", "And": "{0} & {1}", "Or": "{0} | {1}",
    "MatMul": "{0} @ {1}", "Where": "np.where({0}, {1}, {2})", "Max": "np.maximum({0}, {1})",
    "Min": "np.minimum({0}, {1})", "Rem": "np.fmod({0}, {1})", "Relu": "np.maximum({0}, 0)", "Round": "np.rint({0})",
    "Sigmoid": "sigmoid({0})", "Erf": "erf({0})", "Asin": "np.arcsin({0})", "Acos": "np.arccos({0})",
    "Atan": "np.arctan({0})",
}  # fmt: skip
SAME = {
    "Abs", "Sign", "Floor", "Ceil", "Exp", "Log", "Log1p", "Expm1", "Sqrt", "Tanh", "Sin", "Cos", "Tan", "Sinh", "Cosh",
}  # fmt: skip
ACTIVATIONS = {"Relu": SYMBOLS["Relu"], "Tanh": "np.tanh({0})", "Sigmoid": SYMBOLS["Sigmoid"]}
SCRIPT = "the numpy script"
WIDENED = {"Reduce", "CumSum", "ArgMax", "TopK", "Div", "Rem"}  # numpy gives integers of another size


def number(value: Any, dtype: np.dtype) -> str:
    """A literal that numpy takes for just this float32, or an integer or condition."""
    if dtype.kind != "f":
        return repr(dtype.type(value).item())
    if np.isfinite(value):
        return str(np.float32(value))
    return "np.nan" if np.isnan(value) else "np.inf" if value > 0 else "-np.inf"


def typed(t: Tensor, text: str) -> str:
    """Two literals alone would make a float64."""
    if scalar(t) is None or t.rank:
        return text
    return f"np.{t.dtype if t.dtype.kind != 'b' else 'bool_'}({text.strip('()')})"


def shape_text(shape: Any, is_open: bool = False) -> str:
    """A shape in Python; numpy finds the batch itself where `is_open`."""
    dims = [str(d) if d >= 0 else "-1" if is_open else "batch" if d == -1 else f"{-d} * batch" for d in map(int, shape)]
    return f"({', '.join(dims)}{',' if len(dims) == 1 else ''})"


def activated(node: Node, text: str) -> str:
    name = node.attrs["activation"]
    return text if name is None else entry(ACTIVATIONS, name, SCRIPT, node).format(text)


def sliced(node: Node, x: str) -> str:
    a, shape = node.attrs, node.inputs[0].shape
    parts = []
    for start, count, step, d in zip(a["starts"], a["sizes"], a["steps"], shape, strict=True):
        stop = start + count * step
        if count < 0:
            parts.append(":")
        else:
            end = "" if stop < 0 else str(stop)
            parts.append(":" if (start, stop, step) == (0, d, 1) else f"{start}:{end}{f':{step}' if step != 1 else ''}")
    while len(parts) > 1 and parts[-1] == ":":
        parts.pop()
    return f"{x}[{', '.join(parts)}]"


def image(node: Node, x: list[str]) -> str:
    a = node.attrs
    last = x[0] if a["layout"] == "NHWC" else f"np.moveaxis({x[0]}, 1, -1)"
    if node.op == "Pool":
        y = f"pool({last}, {a['kind']!r}, {tuple(a['window'])}, {tuple(a['strides'])}, {tuple(a['pads'])})"
    else:
        settings = f"{tuple(a['strides'])}, {tuple(a['pads'])}, {tuple(a['dilation'])}, {a['groups']}"
        y = activated(node, f"convolve({last}, {x[1]}, {settings}){f' + {x[2]}' if len(x) > 2 else ''}")
    return y if a["layout"] == "NHWC" else f"np.moveaxis({y}, -1, 1)"


def expression(node: Node, x: list[str]) -> str:
    """The value of a node, from the texts of its inputs, in the dtype of the graph."""
    text, dtype = plain_expression(node, x), node.out.dtype
    if node.op in WIDENED and dtype.kind != "f":
        return f"{text}.astype(np.{dtype})"
    return text


def plain_expression(node: Node, x: list[str]) -> str:
    a, kind = node.attrs, node.inputs[0].dtype.kind
    match node.op:
        case "Div" | "Rem" if kind != "f":
            first, second = map(typed, node.inputs, x)
            return f"{'divide' if node.op == 'Div' else 'remainder'}({first}, {second})"
        case "Where":
            return SYMBOLS["Where"].format(
                x[0], *(typed(t, text) for t, text in zip(node.inputs[1:], x[1:], strict=True))
            )
        case op if op in SYMBOLS:
            return SYMBOLS[op].format(*x)
        case op if op in SAME:
            return f"np.{op.lower()}({x[0]})"
        case "Clip":
            return f"np.clip({x[0]}, {x[1]}, {x[2]})"
        case "Cast" if kind == "f" and np.dtype(a["to"]).kind in "iu":
            return f"saturate({x[0]}, '{np.dtype(a['to'])}')"
        case "Cast":
            return f"{x[0]}.astype('{np.dtype(a['to'])}')"
        case "Reshape":
            return f"{x[0]}.reshape{shape_text(a['shape'], is_open=True)}"
        case "Broadcast":
            return f"np.broadcast_to({typed(node.inputs[0], x[0])}, {shape_text(node.out.shape)})"
        case "Transpose":
            return f"{x[0]}.transpose{tuple(a['perm'])}"
        case "Concat":
            return f"np.concatenate([{', '.join(x)}], {a['axis']})"
        case "Slice":
            return sliced(node, x[0])
        case "Pad":
            return f"np.pad({x[0]}, {tuple(a['pads'])}, constant_values={number(a['value'], node.out.dtype)})"
        case "Reduce":
            return f"{x[0]}.{a['kind']}({tuple(a['axes'])}{', keepdims=True' if a['keep'] else ''})"
        case "ArgMax":
            return f"{x[0]}.argmax({a['axis']}{', keepdims=True' if a['keep'] else ''})"
        case "CumSum":
            axis = a["axis"]
            turned = f"np.flip({x[0]}, {axis})" if a["reverse"] else x[0]
            return f"np.flip({turned}.cumsum({axis}), {axis})" if a["reverse"] else f"{turned}.cumsum({axis})"
        case "Softmax":
            return f"softmax({x[0]}, {a['axis']})"
        case "TopK":
            return f"top_k({x[0]}, {a['k']}, {a['largest']}, {a['index']})"
        case "Gather":
            return f"{'np.take' if a['batch_dims'] == 0 else 'gather_rows'}({x[0]}, {x[1]}, axis={a['axis']})"
        case "Dense":
            return activated(node, f"{x[0]} @ {x[1]}.T{f' + {x[2]}' if len(x) > 2 else ''}")
        case "Conv" | "Pool":
            return image(node, x)
    raise lacks(SCRIPT, node)
