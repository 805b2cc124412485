"""Opens a `.pt` or `.pt2` policy in PyTorch, one thread, for `replay`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

torch.set_num_threads(1)


def open_model(path: str, folder: Path) -> dict[str, Any]:
    extra = {"signature.json": ""}
    if Path(path).suffix == ".pt":
        model = torch.jit.load(path, _extra_files=extra)
    else:
        model = torch.export.load(path, extra_files=extra).module()
    names = json.loads(extra["signature.json"])

    def prepare(inputs: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        given = [torch.from_numpy(inputs[name].copy()) for name in names["inputs"]]

        def call() -> dict[str, Any]:
            with torch.no_grad():
                return dict(zip(names["outputs"], [y.numpy() for y in model(*given)], strict=True))

        return call

    return {"prepare": prepare, "runtime": "torch", "version": torch.__version__}
