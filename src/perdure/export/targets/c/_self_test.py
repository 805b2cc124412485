"""`policy_test.c`: a program that asks the C function golden vectors and compares the answers."""

import numpy as np

from perdure._core import ExportError
from perdure.export.program import Program, next_name
from perdure.export.proof import Arrays, golden_rows

from ._interface import Argument, Interface, interface_of
from ._storage import c_type, constant_array

HEAD = """\
/* Asks {prefix}.c {rows} golden vectors, the last {broken} of them broken; returns 0 if it answers as the policy did. */

#include "{name}.h"

#include <math.h>
#include <stdio.h>"""
DIFFERS = """\
static int differs(float a, float b) {
    const float d = a > b ? a - b : b - a, size = b < 0.0f ? -b : b;
    return !(a == b) && !(a != a && b != b) && !(d <= 1e-4f * (1.0f + size));
}"""


def lost_rows(program: Program, outputs: Arrays) -> np.ndarray:
    """What the function returns: 1 where an action or the memory is lost."""
    sign = program.signature
    memory = {next_name(name) for name in sign.initial_state}
    total = np.zeros(len(next(iter(outputs.values()))), bool)
    for port in sign.outputs:
        x = outputs[port.name].reshape(len(total), -1)
        if port.dtype.kind == "f" and (port.space is not None or port.name in memory):
            total |= ~np.isfinite(x).all(-1)
        elif port.name in sign.sentinels:
            total |= (x == sign.sentinels[port.name]).any(-1)
    return total.astype(np.int32)


def comparison(argument: Argument, got: str, want: str) -> str:
    is_float = argument.port.dtype.kind == "f"
    entry = (f"{got}[i]", f"{want}[k * {argument.count} + i]")
    test = f"differs({entry[0]}, {entry[1]})" if is_float else f"{entry[0]} != {entry[1]}"
    return f"for (int i = 0; i < {argument.count}; i++) {{ wrong |= {test}; }}"


def body(interface: Interface) -> list[str]:
    """One golden vector, `k`."""
    p = interface.prefix
    lines = [f"{c_type(a.port.dtype)} {a.name}[{a.count}];" for a in interface.outputs]
    lines += [f"{p}_state state;"] if interface.state else []
    lines += [
        f"for (int i = 0; i < {a.count}; i++) {{ state.{a.name}[i] = in_state_{a.name}[k * {a.count} + i]; }}"
        for a in interface.state
    ]
    arguments = [f"in_{a.name} + k * {a.count}" for a in interface.inputs]
    arguments += [*(["&state"] if interface.state else []), *(a.name for a in interface.outputs), "&work"]
    lines.append(f"int wrong = {p}_act({', '.join(arguments)}) != out_lost[k];")
    lines += [comparison(a, a.name, f"out_{a.name}") for a in interface.outputs]
    lines += [comparison(a, f"state.{a.name}", f"out_state_{a.name}") for a in interface.state]
    return [*lines, 'if (wrong) { printf("vector %d differs\\n", k); }', "failed += wrong;"]


def write_self_test(program: Program, name: str, golden: Arrays) -> str:
    interface = interface_of(program, name)
    inputs, outputs, num_broken = golden_rows(program, golden)
    lost = lost_rows(program, outputs)
    if not len(lost):
        raise ExportError("export to C: every observation is at a near-tie, so there is no golden vector to test with.")
    arrays = {f"in_{a.name}": inputs[a.port.name] for a in interface.inputs}
    arrays |= {f"in_state_{a.name}": inputs[a.port.name] for a in interface.state}
    arrays |= {f"out_{a.name}": outputs[a.port.name] for a in interface.outputs}
    arrays |= {f"out_state_{a.name}": outputs[next_name(a.port.name)] for a in interface.state}
    arrays["out_lost"] = lost
    parts = [HEAD.format(prefix=name, name=name, rows=len(lost), broken=num_broken)]
    if any(a.port.dtype.kind == "f" for a in (*interface.outputs, *interface.state)):
        parts.append(DIFFERS)
    parts += [constant_array(key, value) for key, value in arrays.items()]
    main = [
        f"static {interface.prefix}_workspace work;",
        "int failed = 0;",
        f"for (int k = 0; k < {len(lost)}; k++) {{",
        *(f"    {line}" for line in body(interface)),
        "}",
        f'printf("{interface.prefix}: %d of {len(lost)} vectors differ\\n", failed);',
        "return failed != 0;",
    ]
    parts.append("\n".join(["int main(void) {", *(f"    {line}" for line in main), "}"]))
    return "\n\n".join(parts) + "\n"
