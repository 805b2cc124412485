"""Opens a TF.js graph model in Node, for `replay`."""

import runpy
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
JAVASCRIPT = runpy.run_path(str(HERE.parents[2] / "proof" / "_javascript.py"))
NODE = JAVASCRIPT["Node"](HERE.with_name("tfjs.mjs"), "@tensorflow/tfjs")


def open_model(path: str, folder: Path) -> dict[str, Any]:
    return NODE.open(path)
