"""The C function that computes one action, and what it needs beside it."""

import re

import numpy as np

from perdure.export.program import next_name
from perdure.graph import Graph, size

from . import _image as _image, _int8 as _int8, _layers as _layers, _rules as _rules
from ._interface import Argument, Interface
from ._storage import ARENAS, Buffer, c_type, literal, place
from ._writer import VIEWS, Writer


def write_body(writer: Writer, interface: Interface) -> None:
    """The code of the action, from the arguments to the outputs; the memory is overwritten last."""
    code = writer.code
    for t in writer.graph.inputs:
        given = writer.views[id(t)].buffer
        if t.dtype == bool:  # any byte but 0 is true, whatever the caller puts there
            flags = writer.result(t)
            with code.loops(("i", flags.size)):
                code.line(f"{flags.name}[i] = {given.name}[i] != 0;")
    writer.write_nodes()
    members = {next_name(a.port.name): Buffer(f"state->{a.name}", "float", a.count) for a in interface.state}
    arguments = {a.port.name: Buffer(a.name, c_type(a.port.dtype), a.count) for a in interface.outputs}
    writer.step += 1
    for _, t in writer.graph.outputs:
        writer.view(t)  # alive to the end: memory may be an output of itself
    for name, t in writer.graph.outputs:
        target = {**arguments, **members}[name]
        written = writer.direct.get(id(t))
        if written is None or written.name != target.name:
            writer.copy_out(t, target)


def direct_outputs(graph: Graph, interface: Interface) -> dict[int, Buffer]:
    """Outputs that their node writes where they belong. Not the memory, which other nodes may still read."""
    arguments = {a.port.name: a for a in interface.outputs}
    found: dict[int, Buffer] = {}
    for name, t in graph.outputs:
        is_written = t.node is not None and not t.is_constant and t.node.op not in VIEWS
        if is_written and name in arguments and id(t) not in found:
            found[id(t)] = Buffer(arguments[name].name, c_type(t.dtype), size(t.shape))
    return found


def write_function(graph: Graph, interface: Interface, sentinels: dict[str, int]) -> tuple[str, Writer, dict[str, int]]:
    """The C function, its writer, and the entries of its workspace by element type."""
    members = {a.port.name: f"state->{a.name}" for a in interface.state}
    names = {**{a.port.name: a.name for a in interface.inputs}, **members}
    given = {id(t): Buffer(names[t.name], c_type(t.dtype), size(t.shape)) for t in graph.inputs}
    writer = Writer(graph, given, direct_outputs(graph, interface))
    write_body(writer, interface)
    arenas = place(writer.buffers)
    body = "\n".join(writer.code.lines)
    text = [f"{b.ctype} *const {b.name} = work->{ARENAS[b.ctype]} + {b.at};" for b in writer.buffers]
    text += ["(void)work;"] if not writer.buffers else []
    text += [f"(void){a.name};" for a in interface.inputs if not re.search(rf"\b{a.name}\b", body)]
    lines = [f"    {line}" for line in ["int lost = 0;", *text]]
    checks = [f"    {line}" for a in interface.outputs for line in lost_checks(a, sentinels)]
    checks += [f"    {line}" for a in interface.state for line in lost_checks(a, {}, "state->")]
    return "\n".join([f"{interface.prototype} {{", *lines, body, *checks, "    return lost;", "}"]), writer, arenas


def lost_checks(argument: Argument, sentinels: dict[str, int], prefix: str = "") -> list[str]:
    """The function answers 1 where an action or the memory is lost; logits may be infinite by a mask."""
    port, name = argument.port, f"{prefix}{argument.name}"
    if port.dtype.kind == "f" and (port.space is not None or prefix):
        test = f"is_lost({name}[i])"
    elif port.name in sentinels:
        test = f"{name}[i] == {literal(sentinels[port.name], np.int32)}"
    else:
        return []
    return [f"for (int i = 0; i < {argument.count}; i++) {{ lost |= {test}; }}"]
