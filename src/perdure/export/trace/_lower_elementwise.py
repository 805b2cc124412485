"""Arithmetic, comparison, rounding, selection."""

from typing import Any

import numpy as np

from perdure.graph import Tensor, constant

from ._lowering import RULES, Builder, Equation, integer_dtype, lowers, require

UNARY = {
    "neg": "Neg", "abs": "Abs", "sign": "Sign", "floor": "Floor", "ceil": "Ceil", "exp": "Exp", "log": "Log",
    "log1p": "Log1p", "expm1": "Expm1", "sqrt": "Sqrt", "tanh": "Tanh", "logistic": "Sigmoid", "erf": "Erf",
    "sin": "Sin", "cos": "Cos", "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh",
    "cosh": "Cosh",
}  # fmt: skip
BINARY = {
    "add": "Add", "add_any": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min", "pow": "Pow",
    "rem": "Rem", "eq": "Eq", "lt": "Lt", "le": "Le", "lt_to": "Lt", "le_to": "Le",
}  # fmt: skip
BOOLEAN = {"Max": "Or", "Min": "And", "Mul": "And", "Add": "Or"}


def unary_rule(op: str) -> Any:
    return lambda low, eqn, x: low.emit(op, x)


def binary(low: Builder, op: str, a: Tensor, b: Tensor) -> Tensor:
    if a.dtype == bool and op in BOOLEAN:
        op = BOOLEAN[op]
    elif a.dtype == bool and op in ("Lt", "Le"):  # False < True
        low_or_high = (low.emit("Not", a), b)
        return low.emit("And" if op == "Lt" else "Or", *low_or_high)
    if op == "Pow":  # float ** int: the exponent takes the base's dtype
        b = low.cast(b, a.dtype)
    return low.emit(op, a, b)


def binary_rule(op: str) -> Any:
    return lambda low, eqn, a, b: binary(low, op, a, b)


RULES.update({name: unary_rule(op) for name, op in UNARY.items()})
RULES.update({name: binary_rule(op) for name, op in BINARY.items()})


def number(x: Tensor, value: float | int) -> Tensor:
    """A constant in the dtype of `x`."""
    return constant(np.asarray(value, x.dtype))


@lowers("gt", "gt_to")
def greater(low: Builder, eqn: Equation, a: Tensor, b: Tensor) -> Tensor:
    return binary(low, "Lt", b, a)


@lowers("ge", "ge_to")
def greater_equal(low: Builder, eqn: Equation, a: Tensor, b: Tensor) -> Tensor:
    return binary(low, "Le", b, a)


@lowers("ne")
def not_equal(low: Builder, eqn: Equation, a: Tensor, b: Tensor) -> Tensor:
    return low.emit("Not", low.emit("Eq", a, b))


@lowers("square")
def square(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    return low.emit("Mul", x, x)


@lowers("rsqrt")
def reciprocal_root(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    return low.emit("Div", number(x, 1), low.emit("Sqrt", x))


@lowers("cbrt")
def cube_root(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    return low.emit("Mul", low.emit("Sign", x), low.emit("Pow", low.emit("Abs", x), number(x, 1 / 3)))


@lowers("erfc")
def erfc(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    return low.emit("Sub", number(x, 1), low.emit("Erf", x))


@lowers("exp2")
def exp2(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    return low.emit("Pow", number(x, 2), x)


@lowers("asinh")
def asinh(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    size = low.emit("Abs", x)
    root = low.emit("Sqrt", low.emit("Add", low.emit("Mul", x, x), number(x, 1)))
    # log1p(|x| + x^2 / (1 + sqrt(x^2 + 1))) keeps its digits near zero, where log(x + sqrt(x^2 + 1)) loses them.
    small = low.emit("Div", low.emit("Mul", x, x), low.emit("Add", root, number(x, 1)))
    return low.emit("Mul", low.emit("Sign", x), low.emit("Log1p", low.emit("Add", size, small)))


@lowers("acosh")
def acosh(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    root = low.emit("Sqrt", low.emit("Sub", low.emit("Mul", x, x), number(x, 1)))
    return low.emit("Log", low.emit("Add", x, root))


@lowers("atanh")
def atanh(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    difference = low.emit("Sub", low.emit("Log1p", x), low.emit("Log1p", low.emit("Neg", x)))
    return low.emit("Mul", difference, number(x, 0.5))


def is_negative(low: Builder, x: Tensor) -> Tensor:
    """Also of a negative zero."""
    zero = number(x, 0)
    below_zero = low.emit("Lt", low.emit("Div", number(x, 1), x), zero)
    return low.emit("Where", low.emit("Eq", x, zero), below_zero, low.emit("Lt", x, zero))


@lowers("atan2")
def atan2(low: Builder, eqn: Equation, y: Tensor, x: Tensor) -> Tensor:
    """atan(y / x) where x > 0, a half turn more to the left of the axis, a quarter turn on it.

    A zero has the sign of its reciprocal: atan2(0, -0) is pi, atan2(-0, -1) is -pi, atan2(-0, 0) is -0.
    """
    is_left, is_below = is_negative(low, x), is_negative(low, y)
    is_origin = low.emit("And", *(low.emit("Eq", v, number(v, 0)) for v in (x, y)))
    one = low.emit("Where", is_left, number(x, -1), number(x, 1))
    angle = low.emit("Atan", low.emit("Div", y, low.emit("Where", is_origin, one, x)))
    side = low.emit("Where", is_below, number(y, -np.pi), number(y, np.pi))
    return low.emit("Where", is_left, low.emit("Add", angle, side), angle)


@lowers("is_finite")
def is_finite(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    return low.emit("Lt", low.emit("Abs", x), number(x, np.inf))


@lowers("convert_element_type")
def convert(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    to = integer_dtype(eqn.params["new_dtype"])
    return low.is_nonzero(x) if to.kind == "b" and x.dtype != bool else low.cast(x, to)


@lowers("reduce_precision")
def keep_precision(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    exact = eqn.params["exponent_bits"] >= 8 and eqn.params["mantissa_bits"] >= 23
    require(exact, "rounds to less than float32")
    return x


@lowers("and", "or", "not", "xor")
def logical(low: Builder, eqn: Equation, *x: Tensor) -> Tensor:
    require(x[0].dtype == bool, "works on the bits of integers")
    name = eqn.primitive.name
    if name == "xor":
        return low.emit("Not", low.emit("Eq", *x))
    return low.emit({"and": "And", "or": "Or", "not": "Not"}[name], *x)


@lowers("round")
def round_half(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    if int(eqn.params["rounding_method"]) == 1:  # half to even
        return low.emit("Round", x)
    half_up = low.emit("Floor", low.emit("Add", low.emit("Abs", x), number(x, 0.5)))
    return low.emit("Mul", low.emit("Sign", x), half_up)


@lowers("integer_pow")
def integer_power(low: Builder, eqn: Equation, x: Tensor) -> Tensor:
    """By squaring, as XLA does."""
    left, power = abs(eqn.params["y"]), None
    base = x
    while left:
        if left & 1:
            power = base if power is None else low.emit("Mul", power, base)
        left >>= 1
        base = low.emit("Mul", base, base) if left else base
    if power is None:
        return low.emit("Add", low.emit("Mul", x, number(x, 0)), number(x, 1))
    return power if eqn.params["y"] > 0 else low.emit("Div", number(x, 1), power)


@lowers("clamp")
def clamp(low: Builder, eqn: Equation, lower: Tensor, x: Tensor, upper: Tensor) -> Tensor:
    return low.emit("Min", low.emit("Max", x, lower), upper)


@lowers("nextafter", "population_count", "clz", "shift_left", "shift_right_logical", "shift_right_arithmetic")
def bits(low: Builder, eqn: Equation, *x: Tensor) -> Tensor:
    require(False, "works on the bits of numbers")
    raise AssertionError


@lowers("select_n")
def select(low: Builder, eqn: Equation, which: Tensor, *cases: Tensor) -> Tensor:
    if which.dtype == bool:
        return low.emit("Where", which, cases[1], cases[0])
    y = cases[-1]
    for k in reversed(range(len(cases) - 1)):
        y = low.emit("Where", low.emit("Le", which, constant(np.asarray(k, which.dtype))), cases[k], y)
    return y
