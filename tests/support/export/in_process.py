"""Runs an export's proofs in this process: the runners' own code without starting one process for each."""

import runpy
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest

import perdure.export._export as exporting
from perdure.export.proof import Answer, Job, Runner
from perdure.export.proof.replay import run_sequence, run_slices, start_of
from perdure.export.targets import TARGETS
from tests.support.export.node import SHARED


class InProcessRunner(Runner):
    """Answers as the process would."""

    def __init__(self, script: Path):
        self.script = script

    def open(self, model: str, folder: Path) -> dict[str, Any]:
        if self.script in SHARED:
            return SHARED[self.script]().open(model)
        found: dict[str, Any] = runpy.run_path(str(self.script))["open_model"](model, folder)
        return found

    def submit(self, model: Path, job: Job) -> None:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as the process does
            opened = self.open(str(model), Path(folder))
            prepare = opened["prepare"]
            flat = run_slices(prepare, job.flat, job.slices)
            initial = start_of(opened.get("initial", {}), job.initial)
            steps = {} if job.reset is None else run_sequence(prepare, job.sequence, initial, job.reset)
        found = {name.partition(":")[2]: x for name, x in flat.items()}
        later = {name.partition(":")[2]: x for name, x in steps.items()}
        runtime = f"{opened['runtime']} {opened['version']}"
        self.answer = Answer(found, later, None, runtime, opened.get("memory", {}))

    def result(self) -> Answer:
        return self.answer

    def close(self) -> None:
        pass


@pytest.fixture
def in_process(monkeypatch):
    monkeypatch.setattr(exporting, "Runner", InProcessRunner)


def installed_targets() -> list[str]:
    """The targets whose tools are here, but for `triton`: its model is the ONNX file, byte for byte."""
    here = (target for target in TARGETS.values() if target.can_be_written() and target.missing() is None)
    return [target.name for target in here if target.name != "triton"]
