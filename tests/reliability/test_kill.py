"""kill -9 at random moments of a save, and many processes at one place."""

import json
import pickle
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from perdure.checkpoint._directory import write
from tests.support.reliability_kit import count, marked, marker_of
from tests.support.shared_files import ROOT

pytestmark = pytest.mark.reliability


class Server:
    """`fork_server.py` in a process of its own."""

    def __init__(self, contents: Any, folder: Path, *, with_exchange: bool = True):
        (folder / "contents").write_bytes(pickle.dumps(contents))
        command = [sys.executable, "-m", "tests.support.fork_server", str(folder / "contents"), str(int(with_exchange))]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def __call__(self, do: str, **order: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps({"do": do, **order}), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture(scope="module")
def server(small, tmp_path_factory):
    server = Server(small, tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.mark.parametrize("background", [False, True], ids=["sync", "background"])
def test_a_kill_while_overwriting_leaves_the_old_state_or_the_new(server, small, tmp_path, figures, background):
    cases, lost, mixed, first, interrupted = count(25, 250), 0, 0, 1, 0
    write(tmp_path / "state", marked(small, 0), config=True, force=False)
    for case in range(cases):
        answer = server(
            "kill",
            folder=str(tmp_path),
            first=first,
            overwrite=True,
            background=background,
            first_is_done=case % 2 == 0,
            seed=case,
            longest=0.03,
        )
        assert answer["killed"]
        last = first - 1 if answer["last"] is None else answer["last"]
        interrupted += len(list(tmp_path.glob(".*")))
        try:
            found = marker_of(tmp_path / "state")
            lost += found not in (last, last + 1)
        except ValueError:
            mixed += 1
            found = last
        first = last + 2
        write(tmp_path / "state", marked(small, first - 1), config=True, force=True)  # the next start
        assert sorted(path.name for path in tmp_path.iterdir()) == ["model_config.json", "state"]
    figures(kills=cases, lost=lost, mixed=mixed, leftovers_cleaned=interrupted)
    assert (lost, mixed) == (0, 0)
    assert interrupted > cases / 10  # else the kills miss the saves


@pytest.mark.parametrize("background", [False, True], ids=["sync", "background"])
def test_a_kill_while_saving_anew_leaves_all_that_was_saved(server, small, tmp_path, figures, background):
    cases, lost, mixed, interrupted = count(25, 250), 0, 0, 0
    for case in range(cases):
        folder = tmp_path / str(case)
        answer = server(
            "kill",
            folder=str(folder),
            first=0,
            overwrite=False,
            background=background,
            first_is_done=case % 5 > 0,
            seed=case,
            longest=0.03,
        )
        assert answer["killed"]
        last = -1 if answer["last"] is None else answer["last"]
        interrupted += len(list(folder.glob(".*")))
        there = {path.name for path in folder.glob("state_*")}
        lost += len({f"state_{marker}" for marker in range(last + 1)} - there)
        for name in there:
            try:
                mixed += marker_of(folder / name) != int(name.removeprefix("state_"))
            except ValueError:
                mixed += 1
        write(folder / "next", marked(small, 0), config=False, force=False)
        assert not list(folder.glob(".*"))
    figures(kills=cases, lost=lost, mixed=mixed, leftovers_cleaned=interrupted)
    assert (lost, mixed) == (0, 0)
    assert interrupted > cases / 10


def test_processes_that_save_to_one_place_are_each_read_whole(server, small, tmp_path, figures):
    place, processes, times = tmp_path / "state", 8, count(5, 25)
    write(place, marked(small, 0), config=False, force=False)
    reads, seen = 0, set()
    with ThreadPoolExecutor(1) as pool:
        saving = pool.submit(server, "together", place=str(place), processes=processes, times=times)
        while not saving.done():
            seen.add(marker_of(place))
            reads += 1
    assert saving.result() == {"failed": 0}
    assert marker_of(place) % 1000 == times - 1  # the last of some process
    write(place, marked(small, 1), config=False, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    figures(
        processes=processes, saves=processes * times, reads_while_saving=reads, different_saves_read=len(seen), torn=0
    )
    assert len(seen) > 2


def test_a_mixture_would_be_noticed(small, tmp_path):
    one, other = marked(small, 3), marked(small, 4)
    name = random.Random(0).choice(sorted(small.leaves))
    write(tmp_path / "a", one._replace(leaves={**one.leaves, name: other.leaves[name]}), config=False, force=False)
    with pytest.raises(ValueError, match="is of 3, but not"):
        marker_of(tmp_path / "a")
