"""Imports point one way: a room imports only from the rooms to its left."""

import ast
from pathlib import Path

import pytest

import perdure

ROOMS = [
    *("_core", "space", "distribution", "network", "env", "policy", "evaluation", "export", "callback"),
    *("algorithm", "checkpoint", "models", "importer", "cli"),
]
SOURCE = Path(perdure.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))


def imported_rooms(path: Path) -> set[str]:
    """The rooms that a file imports, anywhere in it, also under TYPE_CHECKING and inside functions."""
    package = ["perdure", *path.relative_to(SOURCE).with_suffix("").parts[:-1]]
    modules = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            modules += [".".join([*module, alias.name]) for alias in node.names]
    return {parts[1] for m in modules if (parts := m.split("."))[0] == "perdure" and len(parts) > 1} & set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_room_imports_only_from_its_left(path):
    room = path.relative_to(SOURCE).parts[0]
    if room not in ROOMS:
        assert imported_rooms(path) <= {"_core"}, "a file outside the rooms may only re-export _core"
        return
    to_the_right = {other for other in imported_rooms(path) if ROOMS.index(other) > ROOMS.index(room)}
    assert not to_the_right, f"{room} may not import {to_the_right}"


def test_every_room_is_on_the_list():
    assert {p.name for p in SOURCE.iterdir() if p.is_dir() and p.name != "__pycache__"} == set(ROOMS)


def test_the_walk_sees_imports_of_every_kind(tmp_path):
    room = SOURCE / "env" / "_nowhere.py"
    source = "if TYPE_CHECKING:\n    from ..policy import X\ndef f():\n    import perdure.cli\n    from perdure import space\n"

    class Fake(type(room)):
        def read_text(self):
            return source

    assert imported_rooms(Fake(room)) == {"policy", "cli", "space"}


def test_importing_perdure_costs_nothing():
    import subprocess
    import sys

    code = "import sys, perdure; print('jax' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_optional_libraries_are_not_imported_with_the_rooms():
    import subprocess
    import sys

    optional = ["onnx", "onnxruntime", "gymnasium", "matplotlib", "torch"]
    rooms = ", ".join(f"perdure.{room}" for room in ROOMS)
    code = f"import sys, {rooms}; print([m for m in {optional} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_no_file_of_the_project_is_large():
    root = SOURCE.parent.parent
    if not (root / ".git").exists():
        pytest.skip("not a checkout")
    import subprocess

    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    large = [
        name
        for name in tracked.split("\0")
        if name and (root / name).is_file() and (root / name).stat().st_size > 100_000
    ]
    assert not large
