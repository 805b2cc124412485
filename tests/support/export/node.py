"""What the tests share of Node and Chromium: one process a script for all of them, kept until the tests end."""

import atexit
import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest

from perdure._core import dumps_json
from perdure.export.proof import _javascript
from perdure.export.proof._chromium import Browser
from perdure.export.proof._javascript import Node
from perdure.export.targets import TARGETS
from perdure.export.targets.tfjs._writer import WEIGHTS, write_graph_model
from perdure.graph import Graph, channels_last, name_tensors

Arrays = dict[str, np.ndarray]
TFJS = "@tensorflow/tfjs"


def needs(package: str | None) -> pytest.MarkDecorator:
    """A skip that says what to install."""
    missing = _javascript.missing_package(package)
    return pytest.mark.skipif(missing is not None, reason=missing or "")


needs_node = needs(None)


@functools.cache
def node(script: str, package: str | None = None) -> Node:
    """One process for a script."""
    made = Node(Path(script), package)
    atexit.register(made.close)
    return made


def tfjs() -> Node:
    return node(str(TARGETS["tfjs"].runner.with_name("tfjs.mjs")), TFJS)


@functools.cache
def page() -> Browser:
    """One Chromium for the exported pages."""
    made = Browser(TARGETS["web"].runner.with_name("web.mjs"))
    atexit.register(made.close)
    return made


SHARED = {TARGETS["tfjs"].runner: tfjs, TARGETS["web"].runner: page}  # runners that would start a process each time


def run_tfjs(graph: Graph, arrays: Arrays) -> list[np.ndarray]:
    """A plain graph in TF.js; refused by name is an ExportError."""
    graph = name_tensors(channels_last(graph))
    model, weights = write_graph_model(graph)
    sides = {"inputs": [(t.name, t) for t in graph.inputs], "outputs": graph.outputs}
    ports = {side: [{"name": name, "dtype": str(t.dtype)} for name, t in pairs] for side, pairs in sides.items()}
    model["userDefinedMetadata"] = {"signature": ports}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.json").write_bytes(dumps_json(model))
        (Path(folder) / WEIGHTS).write_bytes(weights)
        answer = tfjs().open(f"{folder}/model.json")["prepare"](arrays)()
    return [answer[name] for name, _ in graph.outputs]
