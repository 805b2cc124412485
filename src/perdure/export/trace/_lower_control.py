"""Branches and loops. `jax.vmap` has already turned a branch on each observation into a selection."""

from typing import Any

import numpy as np
from jax.extend.core import Jaxpr

from perdure.graph import Tensor, constant

from ._lower_shape import UNROLL_LIMIT
from ._lowering import Builder, Equation, lowers, require


def subjaxprs(jaxpr: Jaxpr) -> list[Any]:
    """The inner jaxprs of all equations."""
    found = []
    for eqn in jaxpr.eqns:
        for value in eqn.params.values():
            for item in value if isinstance(value, tuple | list) else [value]:
                inner = getattr(item, "jaxpr", item)
                if hasattr(inner, "eqns"):
                    found.append(inner)
    return found


def equations(jaxpr: Jaxpr) -> list[Any]:
    """All equations, also those of inner jaxprs."""
    return [*jaxpr.eqns, *(eqn for inner in subjaxprs(jaxpr) for eqn in equations(inner))]


def callbacks(jaxpr: Jaxpr) -> list[Any]:
    return [eqn for eqn in equations(jaxpr) if "callback" in eqn.primitive.name or eqn.primitive.name == "debug_print"]


def is_equinox_check(eqn: Equation) -> bool:
    """The callback of `eqx.error_if`, not one of the user's own."""
    function = getattr(eqn.params.get("callback"), "callback_func", None)
    return getattr(function, "__module__", "") == "equinox._errors"


@lowers("scan")
def scan(low: Builder, eqn: Equation, *inputs: Tensor) -> list[Tensor]:
    p, length = eqn.params, int(eqn.params["length"])
    require(length <= UNROLL_LIMIT, f"of {length} steps is not unrolled (limit {UNROLL_LIMIT})")
    num_consts, num_carry = p["num_consts"], p["num_carry"]
    fixed, carry = list(inputs[:num_consts]), list(inputs[num_consts : num_consts + num_carry])
    sequences = inputs[num_consts + num_carry :]
    stacked: list[list[Tensor]] = []
    for t in range(length)[:: -1 if p["reverse"] else 1]:
        step = [
            constant(x.value[t]) if x.is_constant else low.reshape(low.cut(x, 0, t, 1), x.shape[1:]) for x in sequences
        ]
        out = low.inline(p["jaxpr"], [*fixed, *carry, *step])
        carry = out[:num_carry]
        stacked.append([low.reshape(y, (1, *y.shape)) for y in out[num_carry:]])
    if p["reverse"]:
        stacked.reverse()
    require(length > 0 or len(p["jaxpr"].out_avals) == num_carry, "of no steps that stacks results")
    return carry + [low.emit("Concat", *column, axis=0) for column in zip(*stacked, strict=True)]


@lowers("cond")
def cond(low: Builder, eqn: Equation, which: Tensor, *inputs: Tensor) -> list[Tensor]:
    branches = eqn.params["branches"]
    checks = [bool(calls := callbacks(b.jaxpr)) and all(map(is_equinox_check, calls)) for b in branches]
    if len(branches) == 2 and sum(checks) == 1:  # eqx.error_if: keep the branch that does not raise
        return low.inline(branches[checks.index(False)], inputs)
    if which.node is not None and which.node.op == "Unsupported":
        return [
            low.emit(
                "Unsupported",
                constant(0),
                **{**which.node.attrs, "shape": low.shape(v.aval.shape), "dtype": v.aval.dtype},
            )
            for v in eqn.outvars
        ]
    require(which.is_constant, "on a value shared by the whole batch")
    return low.inline(branches[int(np.clip(which.value, 0, len(branches) - 1))], inputs)


@lowers("platform_index")
def platform_index(low: Builder, eqn: Equation, *inputs: Tensor) -> Tensor:
    """`lax.platform_dependent`: the branch for CPUs, else the default one."""
    platforms = eqn.params["platforms"]
    best = [i for i, names in enumerate(platforms) if names is not None and "cpu" in names]
    best += [i for i, names in enumerate(platforms) if names is None]
    require(bool(best), "has no branch for the CPU")
    return constant(np.int32(best[0]))
