"""Runs the generated numpy script for `replay`."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy


def open_model(path: str, folder: Path) -> dict[str, Any]:
    script = runpy.run_path(path)
    act = script["act"]
    initial = {k.removeprefix("initial."): x for k, x in script["w"].items() if k.startswith("initial.")}

    def prepare(inputs: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        return lambda: act(inputs)

    return {"prepare": prepare, "initial": initial, "runtime": "numpy", "version": numpy.__version__}
