"""The same files elsewhere: ONNX in Node and in Chromium, TFLite in LiteRT.js and TF.js in Chromium."""

import dataclasses
import functools
import subprocess
import sys
import time
from pathlib import Path

import pytest

import perdure.export._export as exporting
import perdure.export.targets._registry as targets
from perdure._core import ExportError
from perdure.export import export
from perdure.export.proof._chromium import NO_CHROMIUM, Browser, find_chromium
from perdure.export.proof._javascript import find_modules
from perdure.export.targets.onnx import ONNX
from perdure.export.targets.tfjs import TFJS
from perdure.export.targets.tflite import TFLITE
from tests.support.export.in_process import InProcessRunner
from tests.support.export.node import needs, node
from tests.support.export.policies import POLICIES

HERE = Path(__file__).parent
needs_chromium = pytest.mark.skipif(find_chromium() is None, reason=NO_CHROMIUM)
KINDS = ["normalized", "several", "convolution", "recurrent"]  # a mask with several choices, bytes, a memory


@pytest.fixture(scope="module")
def browser():
    """One Chromium for each runtime, kept for the module."""
    opened = {}

    @functools.cache
    def start(script, package):
        opened[script] = Browser(HERE / script, find_modules(package))
        return opened[script]

    yield start
    for each in opened.values():
        each.close()


def proven_by(engine, target, kind, folder, monkeypatch):
    """The whole proof of `export`, with another runtime than its own."""

    class Elsewhere(InProcessRunner):
        def open(self, model, folder):
            return engine.open(model)

    monkeypatch.setattr(exporting, "Runner", Elsewhere)
    monkeypatch.setattr(targets, "TARGETS", {target.name: target})
    masked = kind == "several"
    (row,) = export(POLICIES[kind](), folder / "deploy", [target.name], num_observations=50, action_mask=masked).targets
    assert row.max_error <= 1e-5
    assert row.observations > (700 if kind == "recurrent" else 50)
    assert row.broken > 0 or kind == "convolution"
    return row


@needs("onnxruntime-node")
@pytest.mark.parametrize("kind", KINDS)
def test_the_onnx_file_is_proven_in_node(kind, tmp_path, monkeypatch):
    engine = node(str(HERE / "onnxruntime.mjs"), "onnxruntime-node")
    row = proven_by(engine, ONNX, kind, tmp_path, monkeypatch)
    assert row.runtime.startswith("onnxruntime-node ")


@needs("onnxruntime-web")
@needs_chromium
@pytest.mark.parametrize("kind", KINDS)
def test_the_onnx_file_is_proven_in_chromium(kind, tmp_path, monkeypatch, browser):
    engine = browser("onnxruntime.mjs", "onnxruntime-web")
    row = proven_by(engine, ONNX, kind, tmp_path, monkeypatch)
    assert row.runtime.startswith("onnxruntime-web in Chromium")


@needs("@tensorflow/tfjs")
@needs_chromium
def test_the_graph_model_is_proven_in_chromium_from_its_address(tmp_path, monkeypatch, browser):
    engine = browser("tfjs_page.mjs", "@tensorflow/tfjs")
    row = proven_by(engine, TFJS, "several", tmp_path, monkeypatch)
    assert row.runtime.startswith("TF.js in Chromium")


@needs("@litertjs/core")
@needs_chromium
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "several"])
def test_the_tflite_file_is_proven_in_chromium(kind, tmp_path, monkeypatch, browser):
    engine = browser("litert.mjs", "@litertjs/core")
    row = proven_by(engine, TFLITE, kind, tmp_path, monkeypatch)
    assert row.runtime.startswith("LiteRT.js in Chromium")


@needs("@litertjs/core")
@needs_chromium
def test_litert_in_chromium_takes_no_mask(tmp_path, monkeypatch, browser):
    """As the documentation says; once this fails, it does."""
    engine = browser("litert.mjs", "@litertjs/core")
    with pytest.raises(RuntimeError, match="Element type BOOL is not supported"):
        proven_by(engine, TFLITE, "several", tmp_path, monkeypatch)


@needs("onnxruntime-node")
def test_a_wrong_file_is_found_in_node(tmp_path, monkeypatch):
    def wrong(program, directory, name):
        weight = next(n for n in program.graph.nodes() if n.op == "Dense").inputs[1]
        right, weight.value = weight.value, weight.value + 0.01
        written = ONNX.write(program, directory, name)
        weight.value = right
        return written

    engine = node(str(HERE / "onnxruntime.mjs"), "onnxruntime-node")
    with pytest.raises(ExportError, match="observations give another answer"):
        proven_by(engine, dataclasses.replace(ONNX, write=wrong), "normalized", tmp_path, monkeypatch)


LONELY = """
import sys, time
from pathlib import Path
from perdure.export.proof._chromium import Browser
from perdure.export.targets.web import WEB
browser = Browser(WEB.runner.with_name("web.mjs"))
try:
    browser.open("nowhere/index.html")
except RuntimeError:
    print(browser.process.pid, flush=True)
time.sleep(600)
"""


@needs_chromium
@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_chromium_ends_when_who_started_it_is_killed():
    with subprocess.Popen([sys.executable, "-c", LONELY], stdout=subprocess.PIPE) as process:
        stat = Path(f"/proc/{int(process.stdout.readline())}/stat")
        assert stat.exists()
        process.kill()
    for _ in range(300):
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    raise AssertionError("Chromium is still running")
