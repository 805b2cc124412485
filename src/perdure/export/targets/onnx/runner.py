"""Opens an ONNX policy in onnxruntime, one thread, for `replay`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime


def open_model(path: str, folder: Path) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    wanted = {i.name for i in session.get_inputs()}

    def prepare(inputs: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        fed = {k: v for k, v in inputs.items() if k in wanted}
        return lambda: dict(zip(names, session.run(names, fed), strict=True))

    return {"prepare": prepare, "runtime": "onnxruntime", "version": onnxruntime.__version__}
