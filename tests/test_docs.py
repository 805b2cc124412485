"""The documents tell the truth: their Python runs, the drawing of the rooms is that which the imports keep to."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.rooms import INNER, PLANNED, ROOMS

DOCS = Path(__file__).parent.parent / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def run(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_file_of_last_year_loads_as_the_page_on_history_says(tmp_path):
    first, second, step = blocks("history.md", "python")
    run(first, tmp_path)
    assert run(second, tmp_path) == "1.0 [3. 3.]\n"
    without = second.replace(', upgrades=[renamed(w="weight"), added(gain=1.0)]', "")
    done = subprocess.run([sys.executable, "-c", without], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "the file has arm.Layer with the fields w" in done.stderr
    split = (
        f"{second}\n{step}\nclass Weights(Serializable):\n    weight: Array\nregister(Weights, name='arm.Weights')\n"
    )
    split += (
        "class New(Serializable):\n    weights: Weights\n    gain: float = eqx.field(static=True)\n"
        "from perdure._core import _registry\n_registry._holders['class'].pop('arm.Layer')\n"
        "register(New, name='arm.Layer', upgrades=[renamed(w='weight'), added(gain=1.0), split])\n"
        "print(load_policy('arm.safetensors').weights.weight.shape)\n"
    )
    assert run(split, tmp_path).endswith("(2, 3)\n")


def test_the_drawing_of_the_rooms_is_true():
    (drawing,) = blocks("rooms.md", "text")
    rooms: dict[str, list[str]] = {}
    for line in drawing.splitlines():
        if line.startswith("  "):
            names, *_ = re.split("  +", line.strip())
            rooms[list(rooms)[-1]] += names.split(", ")
        else:
            rooms[line.split()[0]] = []
    assert list(rooms) == [room for room in ROOMS if room not in PLANNED]
    for room, inner in rooms.items():
        drawn = [name for name in INNER.get(room, []) if name != "." and not name.startswith("_")]
        assert sorted(inner) == sorted(drawn), room
        if room == "export":
            assert inner == drawn, "in the order of imports"


MOST_FILES = {"a body": 1, "an environment": 1, "an algorithm": 3, "an importer": 2, "a target": 4, "an operator": 11}


def test_the_page_for_contributors_names_no_more_files_than_it_promises():
    text = (DOCS.parent / "CONTRIBUTING.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| a")]
    found = {what.removeprefix("| "): (files, test) for what, files, _, test in rows}
    assert MOST_FILES.keys() <= found.keys()
    for what, most in MOST_FILES.items():
        files, test = found[what]
        first = files.split("; or ")[0]  # the other way of a target
        named = re.findall(r"`[\w/]+\.(?:py|toml)`|\b[A-Z]+\.md\b", first)
        count = len(named) if what in ("a target", "an operator") else len(named) + 1  # and the file or folder itself
        assert 1 <= count <= most, (what, named)
        assert (DOCS.parent / "tests/templates" / test.split("`")[1]).exists()
