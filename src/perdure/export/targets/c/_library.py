"""The part of `policy.c` that a shared library needs: entries that are the same whatever the policy."""

from ._interface import Argument, Interface
from ._storage import c_type

HEAD = """\
#ifdef PERDURE_LIBRARY
#ifdef __cplusplus
#define PERDURE_C extern "C"
#else
#define PERDURE_C
#endif
#ifdef _WIN32
#define PERDURE_EXPORT PERDURE_C __declspec(dllexport)
#else
#define PERDURE_EXPORT PERDURE_C
#endif"""
RUN_ROW = """\
struct perdure_row { const void *const *in; void *const *out; void *work; };
PERDURE_EXPORT int32_t perdure_run_row(const struct perdure_row *row) {
    return perdure_run(1, row->in, row->out, row->work);
}"""


def c_string(text: str) -> str:
    """A string literal; whatever is no plain character goes as its bytes in octal."""
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._-[]"
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode()) + '"'


def port_line(kind: str, argument: Argument) -> str:
    shape = "x".join(map(str, argument.port.shape)) or "-"
    return c_string(f"{kind} {argument.port.dtype} {shape} {argument.port.name}")


def library_part(interface: Interface) -> str:
    """`perdure_ports` lists what goes in and out; `perdure_run` takes whole arrays of rows, in the order of the ports.

    `perdure_run_row` takes one row by one argument, since each costs Python's ctypes as much as a small network.
    """
    p, memory = interface.prefix, interface.state
    ports = [("input", a) for a in interface.inputs] + [("state", a) for a in memory]
    ports += [("output", a) for a in interface.outputs]
    num_inputs, num_outputs = len(interface.inputs), len(interface.outputs)

    def row(side: str, k: int, argument: Argument, const: str = "") -> str:
        return f"({const}{c_type(argument.port.dtype)} *){side}[{k}] + k * {argument.count}"

    arguments = [row("in", k, a, "const ") for k, a in enumerate(interface.inputs)]
    arguments += ["&state"] if memory else []
    arguments += [row("out", k, a) for k, a in enumerate(interface.outputs)] + [f"({p}_workspace *)work"]
    copies = [(f"state.{a.name}", a, num_inputs + k, num_outputs + k) for k, a in enumerate(memory)]
    body = [f"{p}_state state;"] if memory else []
    body += [f"memcpy({name}, {row('in', i, a, 'const ')}, sizeof {name});" for name, a, i, _ in copies]
    body += [f"lost += {p}_act({', '.join(arguments)});"]
    body += [f"memcpy({row('out', o, a)}, {name}, sizeof {name});" for name, a, _, o in copies]
    resets = [f"memcpy(state[{k}], first.{a.name}, sizeof first.{a.name});" for k, a in enumerate(memory)]
    reset = [f"{p}_state first;", f"{p}_reset(&first);", *resets] if memory else ["(void)state;"]
    text = ",\n    ".join([*(port_line(kind, a) for kind, a in ports), "0"])
    return "\n".join(
        [
            HEAD,
            f"static const char *const perdure_port_list[] = {{\n    {text}\n}};",
            "PERDURE_EXPORT const char *const *perdure_ports(void) { return perdure_port_list; }",
            f"PERDURE_EXPORT int32_t perdure_workspace_bytes(void) {{ return (int32_t)sizeof({p}_workspace); }}",
            "PERDURE_EXPORT void perdure_reset(void *const *state) {",
            *(f"    {line}" for line in reset),
            "}",
            "PERDURE_EXPORT int32_t perdure_run(int32_t count, const void *const *in, void *const *out, void *work) {",
            "    int32_t lost = 0;",
            "    for (size_t k = 0; k < (size_t)count; k++) {",
            *(f"        {line}" for line in body),
            "    }",
            "    return lost;",
            "}",
            RUN_ROW,
            "#endif /* PERDURE_LIBRARY */",
        ]
    )
