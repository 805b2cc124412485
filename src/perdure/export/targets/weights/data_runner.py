"""Runs what the target `weights` has of data, for `replay`: safetensors and JSON in Perdure's interpreter, not the script."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy

from perdure.export.targets.weights import read_weights


def open_model(path: str, folder: Path) -> dict[str, Any]:
    act, initial = read_weights(Path(path).parent)

    def prepare(inputs: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        return lambda: act(inputs)

    told = {"runtime": "Perdure's interpreter, numpy", "version": numpy.__version__}
    return {"prepare": prepare, "initial": initial, **told}
