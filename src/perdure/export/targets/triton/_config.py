"""`config.pbtxt`: what Triton reads about a model, and how it batches requests for it.

A policy without a memory gets dynamic batching. One with a memory gets sequence batching with implicit state: Triton
keeps the memory of each sequence (episode) and starts it from `initial_state` at the request that has the start flag.

Source: docs/user_guide/model_configuration.md and implicit_state_management.md of triton-inference-server/server.
"""

from collections.abc import Sequence

import numpy as np

from perdure._core import ExportError
from perdure.export.program import Port, Program, next_name

from ..c._library import c_string

MAX_BATCH = 64  # the largest batch of the proof
QUEUE_MICROSECONDS = 100  # how long a request may wait for others
IDLE_MICROSECONDS = 60_000_000  # after that without a request an episode is given up
TYPES = {
    "bool": "TYPE_BOOL", "int8": "TYPE_INT8", "uint8": "TYPE_UINT8", "int32": "TYPE_INT32", "float32": "TYPE_FP32",
}  # fmt: skip


def block(name: str, *lines: str) -> str:
    inner = "\n".join(lines).replace("\n", "\n  ")
    return f"{name} {{\n  {inner}\n}}"


def typed(port: Port) -> list[str]:
    """Type and shape without the batch. Triton has no empty shape: a number is one of length 1, reshaped."""
    dims = ", ".join(map(str, port.shape or (1,)))
    return [f"data_type: {TYPES[str(port.dtype)]}", f"dims: [ {dims} ]"]


def tensor(side: str, port: Port) -> str:
    reshape = [] if port.shape else ["reshape { shape: [ ] }"]
    return block(side, f"name: {c_string(port.name)}", *typed(port), *reshape)


def initial_file(port: Port) -> str:
    """Of a memory that does not start at zero, in the folder `initial_state`."""
    return f"{port.name}.bin"


def memory(port: Port, first: np.ndarray) -> str:
    if not port.shape:
        raise ExportError(
            f"export to triton: '{port.name}' is a number, but Triton's implicit state has at least one axis. "
            "Keep it as an array of shape (1,)."
        )
    source = f"data_file: {c_string(initial_file(port))}" if np.any(first) else "zero_data: true"
    start = block("initial_state", *typed(port), source, f"name: {c_string(port.name + ' at the start')}")
    names = [f"input_name: {c_string(port.name)}", f"output_name: {c_string(next_name(port.name))}"]
    return block("state", *names, *typed(port), start)


def batching(memories: Sequence[Port], initial: dict[str, np.ndarray]) -> str:
    if not memories:
        return block("dynamic_batching", f"max_queue_delay_microseconds: {QUEUE_MICROSECONDS}")
    oldest = [f"max_candidate_sequences: {MAX_BATCH}", f"max_queue_delay_microseconds: {QUEUE_MICROSECONDS}"]
    return block(
        "sequence_batching",
        f"max_sequence_idle_microseconds: {IDLE_MICROSECONDS}",
        block("oldest", *oldest),
        *(memory(port, initial[port.name]) for port in memories),
    )


def config(program: Program, name: str) -> str:
    """The text of the file. The memory is Triton's: it is no input and no output of a request."""
    sign = program.signature
    memories = [port for port in sign.inputs if port.name in sign.initial_state]
    after = {next_name(port.name) for port in memories}
    parts = [
        f"name: {c_string(name)}",
        'backend: "onnxruntime"',
        f"max_batch_size: {MAX_BATCH}",
        *(tensor("input", port) for port in sign.inputs if port not in memories),
        *(tensor("output", port) for port in sign.outputs if port.name not in after),
        batching(memories, sign.initial_state),
        "instance_group { kind: KIND_CPU count: 1 }",
    ]
    return "\n".join(parts) + "\n"
