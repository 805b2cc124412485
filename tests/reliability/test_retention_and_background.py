"""What stays of many checkpoints while some break, and saving in the background."""

import errno
import os
import pickle
import random
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import jax
import pytest

from perdure._core import SaveError, leaf_to_numpy, leaves_with_paths
from perdure.checkpoint import BackgroundSaver, Retention, _background, checkpoints_in, latest, load
from perdure.checkpoint._directory import FILES, METADATA, Contents, write
from tests.support.reliability_kit import count, marked, marker_of

pytestmark = pytest.mark.reliability
FOREVER = 60  # seconds


def broken(path: Path, choose: random.Random) -> None:
    """Break a checkpoint in one of many ways."""
    name = choose.choice([name for name in FILES if (path / name).exists()])
    match choose.randrange(5):
        case 0:
            (path / name).unlink()
        case 1:
            (path / name).write_bytes((path / name).read_bytes()[: choose.randrange(200)])
        case 2:
            content = bytearray((path / name).read_bytes())
            content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
            (path / name).write_bytes(content)
        case 3:
            (path / "more.safetensors").write_bytes(b"")
        case 4:
            (path / name).unlink()
            (path / name).mkdir()


def rated(contents: Contents, steps: int, mean_return: float | None) -> Contents:
    contents = marked(contents, steps)
    more = {} if mean_return is None else {"episode_return": mean_return}
    return contents._replace(head={**contents.head, "metadata": {"marker": steps, **more}})


def test_the_newest_whole_one_and_the_best_whole_one_always_stay(small, quick_path, figures):
    sequences, saves, corrupted, removed, found_latest = count(100, 1000), 0, 0, 0, 0
    for sequence in range(sequences):
        choose, folder = random.Random(sequence), quick_path / str(sequence)
        folder.mkdir()
        damaged: set[int] = set()
        limits = {name: choose.choice([None, 1, 1, 2]) for name in ("keep_last", "keep_best", "keep_every")}
        retention, returns = Retention(**limits), {}
        for steps in range(1, choose.randrange(4, 7)):
            value = choose.choice([None, choose.uniform(-9, 9)])
            write(folder / f"{steps}", rated(small, steps, value), config=False, force=False)
            returns[steps] = value
            saves += 1
            there = {int(path.name) for path in folder.iterdir()}
            for one in sorted(there - damaged):
                if choose.random() < 0.2:
                    broken(folder / str(one), choose)
                    damaged.add(one)
            whole = there - damaged
            retention.apply(folder)
            left = {int(path.name) for path in folder.iterdir()}
            removed += len(there - left)
            if whole:
                assert max(whole) in left, limits
            scores = {one: returns[one] for one in whole if returns[one] is not None}
            if limits["keep_best"] and scores:
                assert max(scores, key=lambda one: (scores[one], one)) in left, limits
            if not any(limits.values()):
                assert left == there
        before = {path.name for path in folder.iterdir()}
        whole = {int(name) for name in before} - damaged
        corrupted += len(damaged)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            newest = latest(folder)
        assert newest == (folder / str(max(whole)) if whole else None)
        found_latest += newest is not None
        aside = {path.name for path in (folder / "broken").iterdir()} if (folder / "broken").exists() else set()
        assert len(warned) == len(aside)
        assert all(str(warning.message).startswith("a broken checkpoint was passed over") for warning in warned)
        assert {int(name) for name in aside} <= damaged
        assert {path.name for path in folder.iterdir()} - {"broken"} | aside == before  # nothing is deleted
    figures(sequences=sequences, saves=saves, corrupted=corrupted, removed=removed, latest_found=found_latest, lost=0)
    assert removed > sequences / 5
    assert corrupted > sequences


def test_a_broken_one_of_a_name_that_is_set_aside_already_replaces_none(small, tmp_path):
    for marker in (1, 2):
        write(tmp_path / "a", marked(small, marker), config=False, force=False)
        (tmp_path / "a" / FILES[1]).write_bytes(b"")
        with pytest.warns(UserWarning, match=rf"{FILES[1]}.*not what was saved"):
            assert latest(tmp_path) is None
    assert len(list((tmp_path / "broken").iterdir())) == 2


def bits(state):
    return {path: leaf_to_numpy(leaf).tobytes() for path, leaf in leaves_with_paths(state)}


def copied(state):
    return jax.tree.map(lambda x: x.copy() if hasattr(x, "copy") else x, state)


@pytest.fixture
def held(monkeypatch):
    """Writing in the background begins when this event is set."""
    event = threading.Event()
    real = _background.write

    def write(*arguments, **more):
        assert event.wait(FOREVER)
        real(*arguments, **more)

    monkeypatch.setattr(_background, "write", write)
    return event


def test_what_is_deleted_or_changed_after_save_is_saved_as_it_was(ppo, held, tmp_path):
    algorithm, state = ppo[0], copied(ppo[1])
    expected, note = bits(state), {"list": [1]}
    with BackgroundSaver() as saver:
        saver.save(tmp_path / "a", algorithm, state, metadata=note)
        note["list"].append(2)
        for leaf in jax.tree.leaves(state):
            if isinstance(leaf, jax.Array):
                leaf.delete()  # as a donated one is
        held.set()
    loaded = load(tmp_path / "a")
    assert bits(loaded.state) == expected
    assert loaded.metadata == {"list": [1]}


def test_arrays_of_numpy_that_are_changed_after_save_are_saved_as_they_were(small, held, tmp_path, monkeypatch):
    monkeypatch.setattr(_background, "pack", lambda algorithm, state, **more: state)
    contents = marked(small, 3)
    with BackgroundSaver() as saver:
        saver.save(tmp_path / "a", None, contents)
        for arrays in contents.leaves.values():
            for array in arrays.values():
                array[...] = 0
        held.set()
    assert marker_of(tmp_path / "a") == 3


def test_overlapping_saves_are_made_one_after_the_other_and_all(ppo, tmp_path, figures):
    algorithm, state = ppo
    many = count(10, 200)
    with BackgroundSaver() as saver:
        for turn in range(many):
            saver.save(tmp_path / "a", algorithm, state, force=True, metadata={"turn": turn})
            if turn % 7 == 0:
                saver.save(tmp_path / f"{turn}", algorithm, state, metadata={"turn": turn})
    assert load(tmp_path / "a").metadata == {"turn": many - 1}
    for turn in range(0, many, 7):
        assert load(tmp_path / f"{turn}").metadata == {"turn": turn}
    assert not list(tmp_path.glob(".*"))
    figures(saves=many + len(range(0, many, 7)), lost=0)


@pytest.mark.parametrize("how", ["save", "wait", "close"])
def test_an_error_in_the_thread_is_raised_by_the_next_call_once(ppo, tmp_path, monkeypatch, how):
    algorithm, state = ppo
    real = _background.write

    def full(*arguments, **more):
        raise SaveError(errno.ENOSPC, "saving failed: No space left on device")

    saver = BackgroundSaver()
    monkeypatch.setattr(_background, "write", full)
    saver.save(tmp_path / "a", algorithm, state)
    monkeypatch.setattr(_background, "write", real)
    call = {"save": lambda: saver.save(tmp_path / "b", algorithm, state), "wait": saver.wait, "close": saver.close}[how]
    with pytest.raises(SaveError, match="No space") as error:
        call()
    assert error.value.errno == errno.ENOSPC
    if how != "close":
        saver.save(tmp_path / "c", algorithm, state)
        saver.close()
        assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_an_error_of_the_last_save_is_raised_when_its_block_is_left(ppo, tmp_path):
    algorithm, state = ppo
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"thesis\.txt"), BackgroundSaver() as saver:
        saver.save(tmp_path / "a", algorithm, state, force=True)
    assert os.listdir(tmp_path / "a") == ["thesis.txt"]


EXIT = """
import pickle, sys, time
from pathlib import Path
from perdure.checkpoint import BackgroundSaver, _background
contents = pickle.loads(Path(sys.argv[1]).read_bytes())
real = _background.write
def slow(*arguments, **more):
    time.sleep(1)
    real(*arguments, **more)
_background.pack, _background.write = (lambda algorithm, state, **more: state), slow
BackgroundSaver().save(sys.argv[2], None, contents)
if sys.argv[3] == "error":
    raise SystemExit(3)
"""


@pytest.mark.parametrize(("how", "code"), [("end", 0), ("error", 3)])
def test_a_program_that_ends_waits_for_what_is_being_saved(small, tmp_path, how, code):
    (tmp_path / "contents").write_bytes(pickle.dumps(marked(small, 7)))
    command = [sys.executable, "-c", EXIT, str(tmp_path / "contents"), str(tmp_path / "a"), how]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert marker_of(tmp_path / "a") == 7


def test_a_folder_that_others_tidy_meanwhile_is_listed(small, tmp_path, monkeypatch):
    """One checkpoint goes between its metadata being read and its age being asked."""
    for marker in (1, 2):
        write(tmp_path / str(marker), marked(small, marker), config=False, force=False)
    real = os.stat

    def stat(path, *arguments, **more):
        if str(path) == str(tmp_path / "1" / METADATA):
            raise FileNotFoundError(errno.ENOENT, "gone", str(path))
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, "stat", stat)
    assert [one.steps for one in checkpoints_in(tmp_path)[0]] == [2]
