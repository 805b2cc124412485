"""How one entry of each elementwise operator is computed in C, NaN as the graph has it."""

import numpy as np

from perdure._core import ExportError
from perdure.graph import Node

from .._writing import entry
from ._storage import c_type, literal

FLOAT = {
    "Neg": "(-{0})", "Abs": "fabsf({0})", "Sign": "sign_f({0})", "Floor": "floorf({0})", "Ceil": "ceilf({0})",
    "Round": "rintf({0})", "Exp": "fast_exp({0})", "Log": "logf({0})", "Log1p": "log1pf({0})", "Expm1": "expm1f({0})",
    "Sqrt": "sqrtf({0})", "Tanh": "fast_tanh({0})", "Sigmoid": "fast_sigmoid({0})", "Relu": "relu_f({0})",
    "Erf": "erff({0})", "Sin": "sinf({0})", "Cos": "cosf({0})", "Tan": "tanf({0})", "Asin": "asinf({0})",
    "Acos": "acosf({0})", "Atan": "atanf({0})", "Sinh": "sinhf({0})", "Cosh": "coshf({0})",
    "Add": "({0} + {1})", "Sub": "({0} - {1})", "Mul": "({0} * {1})", "Div": "({0} / {1})", "Pow": "powf({0}, {1})",
    "Rem": "fmodf({0}, {1})", "Max": "max_f({0}, {1})", "Min": "min_f({0}, {1})",
}  # fmt: skip
INTEGER = {
    "Neg": "sub_i(0, {0})", "Abs": "abs_i({0})", "Sign": "sign_i({0})", "Relu": "max_i({0}, 0)",
    "Add": "add_i({0}, {1})", "Sub": "sub_i({0}, {1})", "Mul": "mul_i({0}, {1})", "Div": "div_i({0}, {1})",
    "Rem": "rem_i({0}, {1})", "Max": "max_i({0}, {1})", "Min": "min_i({0}, {1})",
}  # fmt: skip
ANY = {
    "Eq": "({0} == {1})", "Lt": "({0} < {1})", "Le": "({0} <= {1})", "Not": "(!{0})", "And": "({0} && {1})",
    "Or": "({0} || {1})", "Where": "({0} ? {1} : {2})",
}  # fmt: skip
ACTIVATIONS = {name: FLOAT[name] for name in ("Relu", "Tanh", "Sigmoid")}


def element(node: Node, x: list[str]) -> str:
    """C for one entry of the output, from those of the inputs.

    Raises: ExportError for an operator on a dtype that C has no function for.
    """
    kind = node.inputs[0].dtype
    if node.op == "Cast":
        return cast(x[0], kind, np.dtype(node.attrs["to"]))
    if node.op == "Clip":
        return clip(node, x[0])
    if node.op in ANY:
        return ANY[node.op].format(*x)
    if kind.kind == "f":
        return entry(FLOAT, node.op, "C", node).format(*x)
    if node.op not in INTEGER:
        raise ExportError(f"{node.where}: C has no {node.op} of {kind}. Cast to float32 first.")
    value = INTEGER[node.op].format(*x)
    return value if kind == np.int32 else f"({c_type(kind)}){value}"


def cast(x: str, source: np.dtype, to: np.dtype) -> str:
    if to.kind == "b":
        return f"({x} != 0)"
    if source.kind == "f" and to.kind != "f":
        limits = np.iinfo(to)
        value = f"to_int({x}, {literal(limits.min, np.int32)}, {limits.max})"
        return value if to == np.int32 else f"({c_type(to)}){value}"
    return f"({c_type(to)}){x}"


def clip(node: Node, x: str) -> str:
    lo, hi = (literal(node.attrs[key], node.out.dtype) for key in ("lo", "hi"))
    return f"clip_f({x}, {lo}, {hi})" if node.out.dtype.kind == "f" else f"min_i(max_i({x}, {lo}), {hi})"


def activation(node: Node, x: str) -> str:
    """C for the activation of a layer. Raises: ExportError for one that C lacks."""
    name = node.attrs["activation"]
    return x if name is None else entry(ACTIVATIONS, name, "C", node).format(x)
