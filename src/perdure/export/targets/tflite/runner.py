"""Opens a TFLite policy in LiteRT, one thread, for `replay`. It takes one observation at a time."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy
from ai_edge_litert.interpreter import Interpreter


def open_model(path: str, folder: Path) -> dict[str, Any]:
    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    run = interpreter.get_signature_runner()
    wanted = set(run.get_input_details())

    def prepare(inputs: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        fed = {name: x for name, x in inputs.items() if name in wanted}
        count = len(next(iter(inputs.values())))
        rows = [{name: x[k : k + 1] for name, x in fed.items()} for k in range(count)]

        def call() -> dict[str, Any]:
            answers = [{name: y.copy() for name, y in run(**row).items()} for row in rows]
            return {name: numpy.concatenate([answer[name] for answer in answers]) for name in answers[0]}

        return call

    return {"prepare": prepare, "runtime": "LiteRT", "version": version("ai-edge-litert")}
