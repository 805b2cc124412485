"""What the tests of the C target share: compilers, graphs of plain functions compiled and run, a driver for sanitizers."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from perdure.export.program import Port, Program, Signature
from perdure.export.program._program import describe_ports
from perdure.export.targets.c import write_c
from perdure.export.targets.c._compile import compile_library, find_compiler, zig_compiler
from perdure.export.targets.c._load import Library
from perdure.graph import Graph, name_tensors

STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
COMPILERS = {
    "gcc": ["gcc", "-std=c99"],
    "g++": ["g++", "-x", "c++"],
    "clang": ["clang", "-std=c99"],
    "clang++": ["clang++", "-x", "c++"],
    "zig": [*(zig_compiler() or ["ziglang"]), "-std=c99"],
}
needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C compiler: install gcc or perdure[c]")


def compiler(name: str) -> list[str]:
    """The command, or a skip."""
    if name == "zig" and zig_compiler() is None:
        pytest.skip('ziglang is not installed: pip install "perdure[c]"')
    if name != "zig" and shutil.which(COMPILERS[name][0]) is None:
        pytest.skip(f"{name} is not installed")
    return COMPILERS[name]


def run(*command: object, **settings: object) -> str:
    """What a command prints; its errors if it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600, **settings)
    assert done.returncode == 0, f"{command[0]} ... {command[-1]}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
    return done.stdout


def program_of(graph: Graph) -> Program:
    """A plain graph as a program without memory."""
    graph = name_tensors(graph)
    inputs = tuple(Port(t.name, tuple(t.shape[1:]), t.dtype) for t in graph.inputs)
    outputs = tuple(Port(name, tuple(t.shape[1:]), t.dtype) for name, t in graph.outputs)
    sign = Signature(inputs, outputs, lambda *x: x, {})
    metadata = {
        "policy": "test",
        "perdure_version": "0",
        "signature": json.dumps(
            {side: describe_ports(ports) for side, ports in (("inputs", inputs), ("outputs", outputs))}
        ),
    }
    return Program(sign, graph, graph, metadata)


def run_c(graph: Graph, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a graph with a batch axis, from the compiler of this machine at -O1."""
    program = program_of(graph)
    with tempfile.TemporaryDirectory() as folder:
        for file, text in write_c(program, "test").items():
            (Path(folder) / file).write_text(text)
        made = Path(folder) / "test.so"
        compile_library(Path(folder) / "test.c", made, find_compiler(), ["-O1", "-Werror"])
        answer = Library(made).prepare(arrays)()
    return [answer[name] for name, _ in graph.outputs]


DRIVER = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
extern const char *const *perdure_ports(void);
extern int32_t perdure_workspace_bytes(void);
extern int32_t perdure_run(int32_t, const void *const *, void *const *, void *);

/* Rows of all inputs from standard input, rows of all outputs to standard output: each in memory of just its size. */
int main(void) {
    void *in[16], *out[16], *work = malloc((size_t)perdure_workspace_bytes());
    size_t in_size[16], out_size[16];
    int num_in = 0, num_out = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (const char *const *line = perdure_ports(); *line; line++) {
            char kind[16], dtype[16], shape[64];
            if (sscanf(*line, "%15s %15s %63s", kind, dtype, shape) != 3) return 3;
            size_t size = strstr(dtype, "32") ? 4 : 1;
            for (char *at = strtok(shape, "x-"); at; at = strtok(NULL, "x-")) size *= (size_t)atol(at);
            if (pass == 0 && kind[0] != 'o') { in[num_in] = malloc(size); in_size[num_in++] = size; }
            if ((pass == 0 && kind[0] == 'o') || (pass == 1 && kind[0] == 's')) {
                out[num_out] = malloc(size);
                out_size[num_out++] = size;
            }
        }
    }
    for (;;) {
        for (int k = 0; k < num_in; k++) if (fread(in[k], 1, in_size[k], stdin) != in_size[k]) goto done;
        perdure_run(1, (const void *const *)in, (void *const *)out, work);
        for (int k = 0; k < num_out; k++) fwrite(out[k], 1, out_size[k], stdout);
    }
done:
    for (int k = 0; k < num_in; k++) free(in[k]);
    for (int k = 0; k < num_out; k++) free(out[k]);
    free(work);
    return 0;
}
"""


def rows_as_bytes(arrays: list[np.ndarray]) -> bytes:
    """Row after row, in each all the arrays."""
    count = len(arrays[0])
    parts = [np.ascontiguousarray(x).reshape(count, -1).view(np.uint8).reshape(count, -1) for x in arrays]
    return np.concatenate(parts, 1).tobytes()


def rows_from_bytes(data: bytes, like: list[np.ndarray]) -> list[np.ndarray]:
    count = len(like[0])
    table, at, found = np.frombuffer(data, np.uint8).reshape(count, -1), 0, []
    for x in like:
        width = x[:1].nbytes
        found.append(np.ascontiguousarray(table[:, at : at + width]).view(x.dtype).reshape(x.shape))
        at += width
    return found
