"""Runs the generated numpy script for `replay`."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy


def open_model(path: str, folder: Path) -> dict[str, Any]:
    act = runpy.run_path(path)["act"]

    def prepare(inputs: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        return lambda: act(inputs)

    return {"prepare": prepare, "runtime": "numpy", "version": numpy.__version__}
