"""Adding an importer: one file and the line that offers it, inside of the package or outside of it."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

import perdure.importer
from perdure._core import FileFormatError
from perdure.checkpoint import load_policy, save_policy
from perdure.importer import importer, importers
from perdure.importer._pickle import Call, Global
from tests.support.forge import torch_checkpoint
from tests.support.sb3 import answers

PACKAGE = Path(perdure.importer.__file__).parents[1]
TEMPLATE = Path(__file__).with_name("wren_importer.py")
RNG = np.random.default_rng(0)
MEAN, DEVIATION = np.array([0.5, -40.0, 3.0], np.float32), np.array([1.0, 20.0, 1e-3], np.float32)
FIRST, LAST = RNG.normal(size=(4, 3)).astype(np.float32), RNG.normal(size=(2, 4)).astype(np.float32)
OBSERVATION = np.array([[1.5, -10.0, 3.002]], np.float32)
ARRAYS = {
    "std": np.array([0.5, 2.0], np.float32),
    "obs_normalizer._mean": MEAN,
    "obs_normalizer._std": DEVIATION,
    "mlp.0.weight": FIRST,
    "mlp.0.bias": np.ones(4, np.float32),
    "mlp.2.weight": LAST,
    "mlp.2.bias": np.array([3.0, -1.0], np.float32),
}
ACTION = LAST @ np.tanh(FIRST @ ((OBSERVATION[0] - MEAN) / (DEVIATION + 0.01)) + 1) + np.array([3.0, -1.0])


def checkpoint(folder: Path, evil: object = None, **changes: np.ndarray) -> Path:
    path = folder / "wren_100.pt"
    others = {
        "iter": 100,
        "optimizer_state_dict": {"state": {0: evil}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.99)}]},
    }
    path.write_bytes(torch_checkpoint({"actor_state_dict": ARRAYS | changes, **others}))
    return path


@pytest.fixture
def wren():
    """The module of the template, as an entry point loads it."""
    point = EntryPoint("wren", "tests.templates.wren_importer:read_wren", "perdure.importers")
    return sys.modules[point.load().__module__]


def test_the_policy_of_a_file_acts_as_the_formula_says(wren, tmp_path):
    policy, report = wren.read_wren(checkpoint(tmp_path), activation="tanh")
    np.testing.assert_allclose(answers(policy, OBSERVATION).action[0], ACTION, rtol=1e-5)
    np.testing.assert_allclose(np.exp(policy.head.log_std), [0.5, 2.0], rtol=1e-6)
    assert report.file == "wren_100.pt"
    save_policy(tmp_path / "policy", policy)
    np.testing.assert_array_equal(
        answers(load_policy(tmp_path / "policy"), OBSERVATION).action, answers(policy, OBSERVATION).action
    )


def test_load_gives_the_notes_as_warnings_and_has_the_signature_of_read(wren, tmp_path):
    with pytest.warns(UserWarning, match="activation relu is as given"):
        wren.load_wren(checkpoint(tmp_path), activation="relu")
    assert wren.load_wren.__name__ == "load_wren"
    assert "UserWarning" in wren.load_wren.__doc__
    assert wren.load_wren.__annotations__["activation"] == str | None


def test_a_file_is_read_without_running_it(wren, tmp_path):
    evil = Call(Global("os", "system"), (f"touch {tmp_path / 'canary'}",))
    policy, _ = wren.read_wren(checkpoint(tmp_path, evil), activation="tanh")
    np.testing.assert_allclose(answers(policy, OBSERVATION).action[0], ACTION, rtol=1e-5)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"obs_normalizer._std": np.ones(4, np.float32)}, r"wren_100\.pt: .*_std' is \[4\], .* \[3\]"),
        ({"rnn.weight_ih_l0": np.ones((4, 3), np.float32)}, "'rnn.weight_ih_l0' is of no part"),
        ({"mlp.2.weight": np.full((2, 4), np.nan, np.float32)}, "NaN or infinity"),
        ({"mlp.2.weight": np.ones((2, 5), np.float32)}, "gives 4 numbers, the next takes 5"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_shared_parts(wren, changes, message, tmp_path):
    with pytest.raises(FileFormatError, match=message):
        wren.read_wren(checkpoint(tmp_path, **changes), activation="tanh")


def test_what_no_file_says_is_asked_for(wren, tmp_path):
    with pytest.raises(ValueError, match="stands in no file of Wren"):
        wren.read_wren(checkpoint(tmp_path))
    with pytest.raises(ValueError, match="'tanhh' is not known"):
        wren.read_wren(checkpoint(tmp_path), activation="tanhh")


def import_wren(folder: Path, place: Path) -> subprocess.CompletedProcess[str]:
    """`perdure import wren`, with this place on the path of modules."""
    command = [sys.executable, "-c", "from perdure.cli import main; main()", "import", "wren", str(checkpoint(folder))]
    path = os.pathsep.join(map(str, [place, PACKAGE.parent]))
    done = subprocess.run(
        [*command, "--activation", "tanh", "--out", "robot"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(
        answers(load_policy(folder / "robot" / "policy"), OBSERVATION).action[0], ACTION, rtol=1e-5
    )
    assert "Wren" in done.stdout
    return done


def test_an_installed_package_adds_an_importer_with_one_file_and_an_entry_point(tmp_path):
    site = tmp_path / "site"
    (site / "wren_to_perdure-1.0.dist-info").mkdir(parents=True)
    shutil.copy(TEMPLATE, site / "wren_importer.py")
    metadata = {
        "METADATA": "Metadata-Version: 2.1\nName: wren-to-perdure\nVersion: 1.0\n",
        "entry_points.txt": "[perdure.importers]\nwren = wren_importer:read_wren\nbroken = no_such_module:read\n",
    }
    for name, text in metadata.items():
        (site / "wren_to_perdure-1.0.dist-info" / name).write_text(text)
    warnings = import_wren(tmp_path, site).stderr
    assert "the importer 'broken' (no_such_module:read) cannot be loaded" in warnings


def test_the_package_itself_gets_an_importer_with_one_file_and_the_line_that_offers_it(tmp_path):
    scratch = tmp_path / "scratch" / "perdure"
    shutil.copytree(PACKAGE, scratch, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TEMPLATE, scratch / "importer" / "_wren.py")
    with (scratch / "importer" / "__init__.py").open("a") as file:
        file.write("from ._wren import load_wren as load_wren, read_wren as read_wren\n")
    import_wren(tmp_path, tmp_path / "scratch")


@pytest.mark.parametrize("name", ["sb3", "velora", "lerax"])
def test_an_importer_of_ours_is_one_file_or_folder_and_a_line(name):
    """Nothing else in the package knows it: neither the command line nor another importer."""
    named = re.compile(rf"\b(read|load)_{name}\b|importer\.(_|){name}\b|from \.(_|){name}\b")
    knowing = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if named.search(path.read_text())}
    folder = {path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / "importer" / name).rglob("*.py")}
    assert knowing <= {"importer/__init__.py", *(folder or {f"importer/_{name}.py"})}


def test_a_name_that_is_taken_and_an_option_that_is_none_are_refused():
    with pytest.raises(ValueError, match=r"'sb3' is that of perdure\.importer\.sb3\._load already"):
        importer("sb3", "a file")(lambda path: None)

    def read_tit(path, *, activation: str = "tanh", force: bool = False, width=None):
        raise NotImplementedError

    for option in ("activation", "force", "width", "depth"):
        with pytest.raises(ValueError, match=f"'{option}' is no setting of read_tit"):
            importer("tit", "a file", **{option: "means something"})(read_tit)
    assert {"sb3", "velora"} <= set(importers())
    assert "tit" not in importers()
