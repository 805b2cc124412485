"""Imports point one way: a room imports only from the rooms to its left, and so does a folder within a room."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

from tests.support.rooms import APART, INNER, PLANNED, ROOMS, SOURCE, folders

UPWARD = {  # files of a room itself that gather what its folders have
    "env/__init__.py",
    "env/_make.py",
    "graph/__init__.py",
    "importer/__init__.py",
}
ALONE = {  # run by path in processes that have numpy and a runtime: they import nothing of ours
    *("export/proof/replay.py", "export/proof/_javascript.py", "export/proof/_chromium.py"),
    *("export/targets/c/_compile.py", "export/targets/c/_load.py", "cli/_play_onnx.py"),
}
COMPUTED = {"_core/_errors.py"}  # may import what it is told, by a name that only its callers know
FILES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def imported(path: Path) -> Iterator[str | None]:
    """What a file imports: absolute names, wherever in it and however it is written; None for a computed name."""
    package = ".".join(["perdure", *path.relative_to(SOURCE).parts[:-1]])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__", "run_module", "find_spec"):
            (first, *_) = [*node.args, *(k.value for k in node.keywords if k.arg == "name")]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield resolve_name(first.value, package) if first.value.startswith(".") else first.value
            else:
                yield None


def ours(path: Path) -> list[list[str]]:
    """The parts, after `perdure`, of every name of ours that a file imports."""
    names = [name.split(".") for name in imported(path) if name is not None]
    return [parts[1:] for parts in names if parts[0] == "perdure" and len(parts) > 1]


def folder_of(room: str, parts: list[str]) -> str:
    """Which of the ordered folders of a room a place in it belongs to."""
    return parts[0] if parts and parts[0] in INNER.get(room, []) else "."


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_room_imports_only_from_its_left(path):
    room = path.relative_to(SOURCE).parts[0]
    rooms = {parts[0] for parts in ours(path)} & set(ROOMS)
    if room not in ROOMS:
        assert rooms <= {"_core"}, "a file outside the rooms may only re-export _core"
        return
    to_the_right = {other for other in rooms if ROOMS.index(other) > ROOMS.index(room)}
    assert not to_the_right, f"{room} may not import {to_the_right}"


@pytest.mark.parametrize("path", [path for path in FILES if path.relative_to(SOURCE).parts[0] in INNER], ids=name_of)
def test_a_folder_of_a_room_imports_only_from_its_left(path):
    room, *inside = path.relative_to(SOURCE).parts
    if name_of(path) in UPWARD:
        return
    order, here = INNER[room], folder_of(room, inside)
    found = {folder_of(room, parts[1:]) for parts in ours(path) if parts[0] == room and len(parts) > 1}
    wrong = {other for other in found if order.index(other) > order.index(here)}
    wrong |= found - {here, "."} if room in APART else set()
    assert not wrong, f"{room}/{here} may not import {wrong}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nobody_imports_a_private_file_of_another_folder(path):
    """But of the room that its folder is in: `env/wrapper` may look into `env/_base.py`."""
    room, *inside = path.relative_to(SOURCE).parts
    for parts in ours(path):
        folder = folder_of(parts[0], parts[1:])
        is_near = parts[0] == room and folder in (".", folder_of(room, inside))
        within = parts[1:-1] if folder == "." else parts[2:-1]  # the last is what is imported
        assert is_near or not any(part.startswith("_") for part in within), ".".join(parts)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_import_has_a_computed_name(path):
    assert None not in imported(path) or name_of(path) in COMPUTED, "nobody could tell what it imports"


def test_what_runs_alone_imports_nothing_of_ours():
    runners = {name_of(path) for path in SOURCE.glob("export/targets/*/runner.py")}
    assert len(runners) > 5
    for name in ALONE | runners:
        assert ours(SOURCE / name) == [], name


def test_every_room_and_folder_is_on_the_list():
    assert set(ROOMS) - PLANNED <= folders(SOURCE) <= set(ROOMS)
    for room in folders(SOURCE):
        assert folders(SOURCE / room) == set(INNER.get(room, ["."])) - {"."}, room


def test_the_walk_sees_imports_of_every_kind():
    file = SOURCE / "env" / "wrapper" / "_nowhere.py"
    source = """
if TYPE_CHECKING:
    from ...policy import X
def f():
    import perdure.cli
    from perdure import space
    importlib.import_module("perdure.models")
    import_module("..adapter", __package__)
    import_module(name="perdure.algorithm._base")
    __import__("perdure.checkpoint")
    runpy.run_module("perdure.importer.sb3")
    from .. import callback as c
    import_module(told)
"""

    class Fake(type(file)):
        def read_text(self):
            return source

    fake = Fake(file)
    assert {".".join(parts) for parts in ours(fake)} == {
        *("policy.X", "cli", "space", "models", "env.adapter", "algorithm._base", "checkpoint", "importer.sb3"),
        "env.callback",
    }
    assert list(imported(fake)).count(None) == 1


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_perdure_costs_nothing():
    assert run("import sys, perdure; print('jax' in sys.modules, 'numpy' in sys.modules)") == "False False\n"


def test_optional_libraries_are_not_imported_with_the_rooms():
    optional = ["onnx", "onnxruntime", "gymnasium", "matplotlib", "torch", "ai_edge_litert"]
    rooms = ", ".join(f"perdure.{room}" for room in ROOMS if (SOURCE / room).exists())
    assert run(f"import sys, {rooms}; print([m for m in {optional} if m in sys.modules])") == "[]\n"


def test_no_file_of_the_project_is_large():
    root = SOURCE.parent.parent
    if not (root / ".git").exists():
        pytest.skip("not a checkout")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    large = [
        name
        for name in tracked.split("\0")
        if name and (root / name).is_file() and (root / name).stat().st_size > 100_000
    ]
    assert not large


def test_no_test_imports_another_by_its_bare_name():
    tests = Path(__file__).parent
    own = {path.stem for path in tests.rglob("*.py")} - {"__init__"}
    for path in tests.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not {name.split(".")[0] for name in names} & own, f"{path}: write `from tests.... import`"
