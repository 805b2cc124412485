"""The target `web`: the page's files, the policy as a script, and its golden answers as another.

Everything is a plain script, so that the page also works when its file is opened without a server.
"""

import base64
import json
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from perdure._core import MissingExtraError, loads_json, rebuild
from perdure.export.program import Port, Program
from perdure.export.proof import TOLERANCE, Arrays, golden_rows, missing_chromium, scale_of
from perdure.space import AbstractSpace, Box, Discrete, MultiBinary, MultiDiscrete

from .._record import Target, Written
from ..c import build_wasm, require_wasm_compiler, write_c
from ._tasks import task_of

PAGE = ("index.html", "style.css", "engine.js", "tasks.js", "play.js", "inputs.js", "page.js")
POLICY, GOLDEN = "policy.js", "golden.js"


def write(program: Program, directory: Path, name: str) -> Written:
    folder = directory / f"{name}_web"
    folder.mkdir()
    page = resources.files(__package__) / "page"
    for file in PAGE:
        (folder / file).write_bytes((page / file).read_bytes())
    (folder / POLICY).write_text(script("PERDURE_POLICY", about(program, name) | {"wasm": text_of(wasm(program))}))
    (folder / GOLDEN).write_text("")
    run, *beside = [f"{folder.name}/{file}" for file in (*PAGE, POLICY)]
    return Written(run, tuple(beside))


def finish(program: Program, directory: Path, name: str, golden: Arrays) -> list[str]:
    """The inputs with the policy's answers, which the page asks again in the visitor's browser."""
    inputs, outputs, num_broken = golden_rows(program, golden)
    scales = {p.name: scale_of(p, outputs[p.name]) for p in program.signature.outputs if p.dtype.kind == "f"}
    shown = {
        "count": len(next(iter(outputs.values()))),
        "broken": num_broken,
        "tolerance": TOLERANCE,
        "inputs": {k: text_of(x) for k, x in inputs.items()},
        "outputs": {k: text_of(x) for k, x in outputs.items()},
        "scales": {k: text_of(np.broadcast_to(x, outputs[k].shape).astype(np.float32)) for k, x in scales.items()},
    }
    file = f"{name}_web/{GOLDEN}"
    (directory / file).write_text(script("PERDURE_GOLDEN", shown))
    return [file]


def wasm(program: Program) -> bytes:
    with tempfile.TemporaryDirectory(prefix="perdure-web-") as folder:
        for file, text in write_c(program, "policy").items():
            (Path(folder) / file).write_text(text)
        return build_wasm(Path(folder) / "policy.c").read_bytes()


def script(name: str, value: Any) -> str:
    """A script that sets a global. JSON in ASCII is JavaScript."""
    return f"globalThis.{name} = {json.dumps(value, allow_nan=False)};\n"


def text_of(data: bytes | np.ndarray) -> str:
    if isinstance(data, np.ndarray):
        data = np.asarray(data, data.dtype.newbyteorder("<"), order="C").tobytes()
    return base64.b64encode(data).decode()


def about(program: Program, name: str) -> dict[str, Any]:
    """What the page shows, and what its controls need."""
    sign, data = program.signature, program.metadata
    spaces = {port.name: port.space for port in (*sign.inputs, *sign.outputs)}
    whole = [rebuild(loads_json(data[side]), {}, root=side) for side in ("observation_space", "action_space")]
    return {
        "name": name,
        "policy": data["policy"],
        "fingerprint": data.get("fingerprint"),
        "version": data["perdure_version"],
        "task": task_of(whole[0], whole[1], data.get("environment")),
        "inputs": [port_of(p, spaces[p.name], p.name in sign.initial_state) for p in sign.inputs],
        "outputs": [port_of(p, spaces[p.name], False) for p in sign.outputs],
    }


def port_of(port: Port, space: AbstractSpace | None, is_state: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"name": port.name, "dtype": str(port.dtype), "shape": list(port.shape)}
    if is_state or space is None:
        return made | {"kind": "state" if is_state else "mask" if port.dtype == bool else "number"}
    if isinstance(space, Discrete | MultiDiscrete):
        starts, counts = np.broadcast_arrays(space.start, space.n if isinstance(space, Discrete) else space.nvec)
        low, high, kind = starts, starts + counts - 1, "choice"
    elif isinstance(space, MultiBinary):
        low, high, kind = np.zeros(port.shape), np.ones(port.shape), "choice"
    else:
        assert isinstance(space, Box)
        low, high = space.low, space.high
        kind = "image" if is_image(port) else "number"
    if kind == "image":
        return made | {"kind": kind}
    return made | {"kind": kind, "low": finite(low), "high": finite(high)}


def is_image(port: Port) -> bool:
    return port.dtype == np.uint8 and len(port.shape) == 3


def finite(bound: Any) -> list[float | None]:
    """None where there is no bound."""
    return [float(x) if abs(x) < 1e30 else None for x in np.asarray(bound, np.float64).ravel()]


def require_chromium() -> None:
    if (missing := missing_chromium()) is not None:
        raise MissingExtraError(missing)


WEB = Target(
    "web",
    write,
    Path(__file__).with_name("runner.py"),
    require_wasm_compiler,
    finish,
    require_runtime=require_chromium,
)
