"""A crash or an error at every call that a save makes to the file system, and every legal state after a power failure."""

import errno
import os
import random
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from perdure._core import SaveError, tidy
from perdure.checkpoint import load_policy, save_policy
from perdure.checkpoint._directory import write
from tests.support.faulty_disk import Died, FaultyDisk, Recorder, after_power_loss, emptied
from tests.support.reliability_kit import FULL, Tiny, count, marked, marker_of, marker_of_module

pytestmark = pytest.mark.reliability


class Kind(NamedTuple):
    """A way to save: `save(folder, marker)`, and the marker that is read then."""

    save: Callable[[Path, int], None]
    marker: Callable[[Path], int]
    left: list[str]  # in the folder after a save


def save_tiny(folder: Path, marker: int) -> None:
    save_policy(folder / "state", Tiny(marker), metadata={"marker": marker})


WAYS = ["checkpoint", "checkpoint with config", "policy", "eqx"]
CASES = [(way, True, old) for way in WAYS for old in (0, None)]
CASES += [("checkpoint", False, 0), ("checkpoint with config", False, 0)]  # without an exchange, as some systems are


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}, {'new' if case[2] is None else 'replacing'}, {case[1]}")
def case(request, small) -> tuple[Kind, bool, int | None]:
    """A way to save, whether the file system can exchange two names, and the marker of what is there before."""
    way, with_exchange, old = request.param

    def save(folder: Path, marker: int) -> None:
        write(folder / "state", marked(small, marker), config="config" in way, force=True)

    def save_eqx(folder: Path, marker: int) -> None:
        Tiny(marker).serialize(folder / "state")

    if way == "policy":
        kind = Kind(save_tiny, lambda folder: marker_of_module(load_policy(folder / "state")), ["state.safetensors"])
    elif way == "eqx":
        kind = Kind(save_eqx, lambda folder: marker_of_module(Tiny.deserialize(folder / "state")), ["state.eqx"])
    else:
        config = ["model_config.json"] if "config" in way else []
        kind = Kind(save, lambda folder: marker_of(folder / "state"), [*config, "state"])
    return kind, with_exchange, old


def start(folder: Path, kind: Kind, old: int | None) -> Path:
    """The folder before the save: empty, or with an `old` state."""
    ready = folder.with_name("ready")
    if not ready.exists():
        ready.mkdir()
        if old is not None:
            kind.save(ready, old)
    return Path(shutil.copytree(ready, emptied(folder)))


def found(kind: Kind, folder: Path) -> int | None:
    """Which save is read; None if there is none."""
    try:
        return kind.marker(folder)
    except FileNotFoundError:
        return None


def calls_of(kind: Kind, folder: Path, old: int | None, with_exchange: bool) -> list[str]:
    disk = FaultyDisk(None, None, with_exchange=with_exchange)
    start(folder, kind, old)
    with disk.used():
        kind.save(folder, 1)
    return disk.names


def test_a_crash_at_any_call_leaves_the_old_state_or_the_new(case, quick_path, figures):
    kind, with_exchange, old = case
    folder = quick_path / "folder"
    calls = calls_of(kind, folder, old, with_exchange)
    states = {old: 0, 1: 0}
    for at, name in list(enumerate(calls, 1))[:: count(2, 1)]:
        for failure in ("died", "torn") if name == "write" else ("died",):
            disk = FaultyDisk(at, failure, with_exchange=with_exchange)
            start(folder, kind, old)
            with pytest.raises(Died), disk.used():
                kind.save(folder, 1)
            states[found(kind, folder)] += 1  # a KeyError is a state that is neither
            kind.save(folder, 2)
            assert (kind.marker(folder), sorted(os.listdir(folder))) == (2, kind.left), disk.failed_at
    figures(crashes=sum(states.values()), old=states[old], new=states[1], neither=0, litter=0)
    assert states[old] > 0
    assert states[1] > 0


def refusal(kind: Kind, folder: Path, disk: FaultyDisk) -> SaveError | None:
    """What is raised by a save to such a disk."""
    try:
        with disk.used():
            kind.save(folder, 1)
    except SaveError as error:
        return error
    return None


def test_an_error_at_any_call_is_told_and_changes_nothing(case, quick_path, figures):
    kind, with_exchange, old = case
    folder = quick_path / "folder"
    calls = calls_of(kind, folder, old, with_exchange)
    states, told = {old: 0, 1: 0}, 0
    failures = [errno.ENOSPC, errno.EIO, errno.EDQUOT, "full"]
    for at, failure in product(range(1, len(calls) + 1), failures):
        if not FULL and at % 6 != failures.index(failure):
            continue
        disk = FaultyDisk(at, failure, with_exchange=with_exchange)
        start(folder, kind, old)
        error = refusal(kind, folder, disk)
        if error is None:  # what was not told did no harm
            assert kind.marker(folder) == 1, disk.failed_at
        else:
            told += 1
            assert error.errno == (errno.ENOSPC if failure == "full" else failure)
            assert "state" in str(error) or "model_config.json" in str(error)
            if "unchanged" in str(error) and "model_config" not in str(error):
                assert found(kind, folder) == old, disk.failed_at
        states[found(kind, folder)] += 1
        kind.save(folder, 2)
        assert (kind.marker(folder), sorted(os.listdir(folder))) == (2, kind.left), disk.failed_at
    figures(errors=sum(states.values()), told=told, old=states[old], new=states[1], neither=0, litter=0)
    assert told > sum(states.values()) / 3


def test_a_power_failure_leaves_the_old_state_or_the_new(case, quick_path, figures):
    kind, with_exchange, old = case
    recorder = Recorder(start(quick_path / "folder", kind, old), with_exchange=with_exchange)
    with recorder.used():
        kind.save(quick_path / "folder", 1)
    assert len(recorder.moments) > 8
    states, choose = {old: 0, 1: 0}, random.Random(0)
    for at, (name, disk) in enumerate(recorder.moments):
        for turn in range(count(2, 30)):
            after_power_loss(disk, emptied(quick_path / "after"), choose, ordered=turn % 2 > 0)
            tidy(quick_path / "after")
            try:
                states[found(kind, quick_path / "after")] += 1
            except (KeyError, ValueError) as error:
                raise AssertionError(f"neither old nor new after call {at}, {name}") from error
    for turn in range(count(10, 100)):  # what `save` has returned from stays
        after_power_loss(recorder.moments[-1][1], emptied(quick_path / "after"), choose, ordered=turn % 2 > 0)
        assert kind.marker(quick_path / "after") == 1
    figures(states=sum(states.values()), old=states[old], new=states[1], neither=0)
    assert states[old] > 0
    assert states[1] > 0


def test_directories_that_a_save_makes_outlast_a_power_failure(small, quick_path):
    (quick_path / "folder").mkdir()
    recorder = Recorder(quick_path / "folder", with_exchange=True)
    with recorder.used():
        write(quick_path / "folder" / "a" / "b" / "state", marked(small, 1), config=False, force=False)
    choose = random.Random(0)
    for _ in range(20):
        after_power_loss(recorder.moments[-1][1], emptied(quick_path / "after"), choose, ordered=False)
        assert marker_of(quick_path / "after" / "a" / "b" / "state") == 1


def test_a_save_that_does_not_sync_would_be_noticed(quick_path):
    policy = Kind(save_tiny, lambda folder: marker_of_module(load_policy(folder / "state")), [])
    recorder = Recorder(start(quick_path / "folder", policy, 0), with_exchange=True)
    with recorder.used():
        os.fsync = lambda descriptor: None  # until the block ends, which puts back the real one
        save_tiny(quick_path / "folder", 1)
    choose, wrong = random.Random(0), 0
    for _ in range(50):
        after_power_loss(recorder.moments[-1][1], emptied(quick_path / "after"), choose, ordered=True)
        try:
            wrong += policy.marker(quick_path / "after") != 1
        except ValueError:
            wrong += 1
    assert wrong > 10
