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
CALL = re.compile(r'import_extra\(\s*"([\w.]+)",\s*"(\w+)"')
SOURCES = (ROOT / "src" / "perdure").rglob("*.py")
LIBRARIES = sorted({call for source in SOURCES for call in CALL.findall(source.read_text())})  # (module, extra)
IMPORT_ALL = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"


def test_every_optional_library_has_its_extra():
    assert len(LIBRARIES) > 10
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {extra for _, extra in LIBRARIES} <= extras.keys()


def test_what_is_installed_can_be_imported():
    installed = [module for module, _ in LIBRARIES if find_spec(module.split(".")[0])]
    command = [sys.executable, "-W", "ignore", "-c", IMPORT_ALL, *installed]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
