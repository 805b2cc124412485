"""The optional libraries: each has its extra, and one that is installed can be imported.

Tests of a library are skipped where it is missing. A library that lacks one of its own requirements would look the same.
"""

import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORT_ALL = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"


def found(folder, pattern):
    return {hit for file in (ROOT / folder).rglob("*.py") for hit in re.findall(pattern, file.read_text())}


def test_every_optional_library_has_its_extra():
    wanted = found("src", r'import_extra\(\s*"[\w.]+",\s*"(\w+)"')
    assert len(wanted) > 10
    assert wanted <= tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()


def test_what_is_installed_can_be_imported():
    modules = found("src", r'import_extra\(\s*"([\w.]+)"') | found("tests", r'importorskip\(\s*"([\w.]+)"')
    assert len(modules) > 20
    installed = sorted(module for module in modules if find_spec(module.split(".")[0]))
    command = [sys.executable, "-W", "ignore", "-c", IMPORT_ALL, *installed]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
