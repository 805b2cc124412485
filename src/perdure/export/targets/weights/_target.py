"""The target `weights`: safetensors, the architecture as JSON, and the script."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from perdure.export.program import Program
from perdure.graph import Node, Tensor, scalar

from .._record import Target, Written
from ._script import bound_name, write_script


def arrays_of(program: Program) -> dict[str, np.ndarray]:
    """Everything that is not a single number: weights by their place in the policy, and the initial memory."""
    found: dict[str, np.ndarray] = {}
    outputs = [t for _, t in program.graph.outputs if t.is_constant]
    for node in program.graph.nodes():
        found |= {t.name: t.value for t in node.inputs if is_array(t)}
        if node.op == "Clip":
            bounds = {bound_name(node.out, key): node.attrs[key] for key in ("lo", "hi")}
            found |= {name: x for name, x in bounds.items() if getattr(x, "size", 1) > 1}
    found |= {t.name: t.value for t in outputs if is_array(t)}
    found |= {f"initial.{name}": x for name, x in program.signature.initial_state.items()}
    return {name: np.array(x, order="C", copy=True) for name, x in found.items()}


def is_array(t: Tensor) -> bool:
    return t.is_constant and not (scalar(t) is not None and t.rank == 0)


def plain(value: Any) -> Any:
    """An attribute in JSON."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(np.dtype(value))


def input_of(t: Tensor) -> Any:
    """The name of a value or a weight, or a number."""
    return t.name if not t.is_constant or is_array(t) else plain(scalar(t))


def layer(node: Node) -> dict[str, Any]:
    attrs = {k: plain(v) for k, v in node.attrs.items()}
    shape = ["batch", *node.out.shape[1:]] if node.out.shape[:1] == (-1,) else list(node.out.shape)
    inputs = [input_of(t) for t in node.inputs]
    return {
        "name": node.out.name,
        "op": node.op,
        "inputs": inputs,
        "shape": shape,
        "dtype": str(node.out.dtype),
        **attrs,
    }


def architecture(program: Program) -> dict[str, Any]:
    """The layers in the order in which they are computed. `perdure.graph` says what each operator does."""
    data = program.metadata
    return {
        "format": 1,
        "policy": data["policy"],
        "fingerprint": data.get("fingerprint"),
        "perdure_version": data["perdure_version"],
        **json.loads(data["signature"]),
        "initial_state": {name: f"initial.{name}" for name in program.signature.initial_state},
        "layers": [layer(node) for node in program.graph.nodes()],
        "results": {name: input_of(t) for name, t in program.graph.outputs},
    }


def write(program: Program, directory: Path, name: str) -> Written:
    files = [f"{name}_numpy.py", f"{name}_weights.safetensors", f"{name}_weights.json"]
    (directory / files[0]).write_text(write_script(program, name), encoding="utf-8")
    (directory / files[1]).write_bytes(save(arrays_of(program)))
    (directory / files[2]).write_text(json.dumps(architecture(program), indent=1, allow_nan=False) + "\n")
    return Written(files[0], tuple(files[1:]))


HERE = Path(__file__)
WEIGHTS = Target("weights", write, HERE.with_name("runner.py"), data_runner=HERE.with_name("data_runner.py"))
