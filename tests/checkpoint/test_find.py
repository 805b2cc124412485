"""Many checkpoints in one folder: which is found, which stay, and what becomes of broken ones."""

import errno
import os
import signal
import subprocess
import sys
import time

import jax
import pytest
from jax import random as jr

from perdure._core import FileFormatError, aside, locked
from perdure.algorithm import PPO
from perdure.callback import AbstractCallback
from perdure.checkpoint import (
    Retention,
    SaveCheckpoints,
    _find,
    checkpoints_in,
    latest,
    load,
    read_metadata,
    save,
    verify,
)
from perdure.env.classic_control import CartPole
from perdure.policy import MLPActorCriticPolicy
from tests.support.reliability_kit import resign
from tests.support.shared_files import ROOT

ALGORITHM = PPO(num_envs=2, num_steps=4, num_minibatches=1, num_epochs=1)
STEPS = ALGORITHM.steps_per_iteration


@pytest.fixture(scope="module")
def start():
    env = CartPole()
    return ALGORITHM.init(env, MLPActorCriticPolicy(env, hidden_sizes=(8,), key=jr.key(0)), key=jr.key(1))


@pytest.fixture(scope="module")
def later(start):
    """States after 1, 2, ... iterations."""
    states = [start]
    for _ in range(6):
        states.append(ALGORITHM.run(states[-1], STEPS))
    return states


def damage(path):
    file = path / "model_state.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_the_newest_is_found_by_its_steps(later, tmp_path):
    for name, at in (("z", 1), ("a", 3), ("m", 2)):
        save(tmp_path / name, ALGORITHM, later[at])
    assert latest(tmp_path) == tmp_path / "a"
    assert [one.steps for one in checkpoints_in(tmp_path)[0]] == [STEPS, 2 * STEPS, 3 * STEPS]


def test_broken_ones_are_moved_aside_with_a_warning_and_not_deleted(later, tmp_path):
    for at in (1, 2, 3):
        save(tmp_path / str(at), ALGORITHM, later[at])
    damage(tmp_path / "3")
    (tmp_path / "2" / "metadata.json").write_text("{")
    before = (tmp_path / "3" / "model_state.safetensors").read_bytes()
    with pytest.warns(UserWarning, match="broken checkpoint") as warned:
        assert latest(tmp_path) == tmp_path / "1"
    told = [str(one.message) for one in warned]
    assert any("broken/3. " in text and "model_state.safetensors: not what was saved" in text for text in told)
    assert any("broken/2. " in text and "metadata.json" in text for text in told)
    assert (tmp_path / "broken" / "3" / "model_state.safetensors").read_bytes() == before
    assert latest(tmp_path) == tmp_path / "1"


def test_a_second_broken_one_of_the_same_name_takes_no_others_place(later, tmp_path):
    for _ in range(2):
        save(tmp_path / "1", ALGORITHM, later[1])
        damage(tmp_path / "1")
        with pytest.warns(UserWarning, match="broken checkpoint"):
            assert latest(tmp_path) is None
    assert len(list((tmp_path / "broken").iterdir())) == 2


def test_one_of_a_later_format_is_told_and_stays_where_it_is(later, tmp_path):
    for at in (1, 2):
        save(tmp_path / str(at), ALGORITHM, later[at])
    resign(tmp_path / "2", {"format": "perdure.checkpoint/3", "perdure": "7.1.0"})
    with pytest.warns(UserWarning, match=r'2 cannot be read.*is newer.*pip install "perdure>=7\.1\.0"'):
        assert latest(tmp_path) == tmp_path / "1"
    resign(tmp_path / "1", {"format": "perdure.checkpoint/3", "perdure": "7.1.0"})
    with pytest.raises(FileFormatError, match=r'pip install "perdure>=7\.1\.0"'):
        latest(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["1", "2"]
    assert set(checkpoints_in(tmp_path)[1]) == {tmp_path / "1", tmp_path / "2"}


def test_one_that_the_disk_does_not_give_is_told_and_stays_where_it_is(later, tmp_path, monkeypatch):
    for at in (1, 2, 3):
        save(tmp_path / str(at), ALGORITHM, later[at])
    real = os.open

    def refuse(path, *arguments, **more):
        if str(path) in (str(tmp_path / "3" / "metadata.json"), str(tmp_path / "2" / "model_state.safetensors")):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.warns(UserWarning, match="cannot be read") as warned:
        assert latest(tmp_path) == tmp_path / "1"
    assert len(warned) == 2
    assert sorted(os.listdir(tmp_path)) == ["1", "2", "3"]


def test_the_folder_is_listed_again_where_all_that_were_listed_are_gone(later, tmp_path, monkeypatch):
    """A writer with `keep_last=1` has saved the next one and removed the others after the listing."""
    save(tmp_path / "1", ALGORITHM, later[1])
    real = _find.verify

    def overtaken(path):
        if path == tmp_path / "1":
            save(tmp_path / "2", ALGORITHM, later[2])
            Retention(keep_last=1).apply(tmp_path)
        return real(path)

    monkeypatch.setattr(_find, "verify", overtaken)
    assert latest(tmp_path) == tmp_path / "2"


def test_one_that_was_replaced_by_a_whole_one_after_it_was_found_broken_is_not_moved(later, tmp_path, monkeypatch):
    save(tmp_path / "1", ALGORITHM, later[1])
    damage(tmp_path / "1")
    real, calls = _find.verify, []

    def mended(path):
        calls.append(path)
        try:
            return real(path)
        finally:
            if len(calls) == 1:
                save(tmp_path / "1", ALGORITHM, later[1], force=True)

    monkeypatch.setattr(_find, "verify", mended)
    assert latest(tmp_path) == tmp_path / "1"
    assert os.listdir(tmp_path) == ["1"]


def test_one_that_stands_aside_while_it_is_replaced_is_waited_for(later, tmp_path, monkeypatch):
    """Where two names cannot be exchanged, a checkpoint that is replaced has no name for a moment."""
    save(tmp_path / "1", ALGORITHM, later[1])
    hidden, naps = aside(tmp_path / "1", "old"), []
    os.rename(tmp_path / "1", hidden)

    def sleep(seconds):
        naps.append(seconds)
        if len(naps) == 3:
            os.rename(hidden, tmp_path / "1")

    monkeypatch.setattr(_find.time, "sleep", sleep)
    with locked(tmp_path, shared=True):  # by who replaces it
        assert latest(tmp_path) == tmp_path / "1"
    assert len(naps) == 3


def test_retention_leaves_what_holds_the_work_of_others(later, tmp_path):
    for at in (1, 2, 3):
        save(tmp_path / str(at), ALGORITHM, later[at])
    (tmp_path / "1" / "notes.txt").write_text("mine")
    (tmp_path / "2" / ".DS_Store").write_text("the system's")
    Retention(keep_last=1).apply(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["1", "3"]


def test_no_folder_is_an_error_and_an_empty_one_holds_none(tmp_path):
    assert latest(tmp_path) is None
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        latest(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("rules", "stay"),
    [
        ({}, {1, 2, 3, 4, 5, 6}),
        ({"keep_last": 2}, {5, 6}),
        ({"keep_best": 1}, {2, 6}),
        ({"keep_best": 2}, {2, 4, 6}),
        ({"keep_every": 3 * STEPS}, {1, 3, 6}),
        ({"keep_last": 1, "keep_best": 1, "keep_every": 100 * STEPS}, {1, 2, 6}),
    ],
    ids=str,
)
def test_only_what_the_rules_name_stays(rules, stay, later, tmp_path):
    returns = {1: 0.0, 2: 9.0, 3: None, 4: 8.0, 5: 7.0, 6: 1.0}
    for at in range(1, 7):
        metadata = {} if returns[at] is None else {"episode_return": returns[at]}
        save(tmp_path / str(at), ALGORITHM, later[at], metadata=metadata)
    Retention(**rules).apply(tmp_path)
    assert {int(path.name) for path in tmp_path.iterdir()} == stay


def test_the_newest_whole_one_and_the_best_whole_one_stay(later, tmp_path):
    for at in range(1, 7):
        save(tmp_path / str(at), ALGORITHM, later[at], metadata={"episode_return": float(-at)})
    retention = Retention(keep_last=1, keep_best=1)
    damage(tmp_path / "6")
    damage(tmp_path / "1")
    retention.apply(tmp_path)
    assert {int(path.name) for path in tmp_path.iterdir()} == {1, 2, 5, 6}
    assert verify(tmp_path / "5")
    assert verify(tmp_path / "2")


def test_checkpoints_are_saved_while_training_and_at_its_end(start, tmp_path):
    for background in (True, False):
        saver = SaveCheckpoints(
            f"name-{background}", frequency=2 * STEPS, background=background, directory=tmp_path, metadata={"mine": 1}
        )
        ALGORITHM.run(start, 5 * STEPS, callbacks=[saver])
        found, broken = checkpoints_in(tmp_path / f"name-{background}" / "saves")
        assert [one.steps for one in found] == [2 * STEPS, 4 * STEPS, 5 * STEPS]
        assert [one.path.name for one in found] == [f"CartPole_{n * STEPS}" for n in (2, 4, 5)]
        assert not broken
        assert all(read_metadata(one.path)["metadata"]["mine"] == 1 for one in found)
        assert (tmp_path / f"name-{background}" / "saves" / "model_config.json").exists()
    one, other = (load(tmp_path / f"name-{b}" / "saves" / f"CartPole_{4 * STEPS}").state for b in (True, False))
    assert jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), one.rollout, other.rollout))


def test_retention_goes_along(start, tmp_path):
    saver = SaveCheckpoints("name", frequency=STEPS, keep_last=2, directory=tmp_path)
    ALGORITHM.run(start, 6 * STEPS, callbacks=[saver])
    assert [one.steps for one in checkpoints_in(tmp_path / "name" / "saves")[0]] == [5 * STEPS, 6 * STEPS]


def test_a_new_training_does_not_mix_with_an_older_one(start, tmp_path):
    saver = SaveCheckpoints("name", frequency=STEPS, directory=tmp_path)
    middle = ALGORITHM.run(start, 2 * STEPS, callbacks=[saver])
    with pytest.raises(FileExistsError, match=r"CartPole_16 is of step 16, but this training begins at 0"):
        ALGORITHM.run(start, STEPS, callbacks=[saver])
    ALGORITHM.run(middle, STEPS, callbacks=[saver])
    assert len(checkpoints_in(tmp_path / "name" / "saves")[0]) == 3


def test_a_disk_that_refuses_ends_the_training_with_what_was_wrong(start, tmp_path):
    (tmp_path / "name").write_text("a file where the folder should be")
    saver = SaveCheckpoints("name", frequency=STEPS, directory=tmp_path)
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        ALGORITHM.run(start, 6 * STEPS, callbacks=[saver])


class TellWhenRunning(AbstractCallback):
    def on_chunk(self, record):
        print("running", flush=True)
        return False


PROGRAM = """
import signal; signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may have it ignored
import sys; sys.path.insert(0, {here!r})
from tests.checkpoint.test_find import *
from perdure.algorithm import PPO
env = CartPole()
state = ALGORITHM.init(env, MLPActorCriticPolicy(env, hidden_sizes=(8,), key=jr.key(0)), key=jr.key(1))
callbacks = [SaveCheckpoints("name", frequency=10**9, directory={folder!r}), TellWhenRunning()]
state = ALGORITHM.run(state, 10**9, callbacks=callbacks)
print("went on", int(state.iteration), flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_one_last_checkpoint(number, tmp_path):
    source = PROGRAM.format(here=str(ROOT), folder=str(tmp_path))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    training = subprocess.Popen([sys.executable, "-c", source], **pipes)
    for line in training.stdout:
        if line == "running\n":
            break
    training.send_signal(number)
    printed, errors = training.communicate(timeout=120)
    newest = latest(tmp_path / "name" / "saves")
    steps = read_metadata(newest)["steps"]
    assert int(load(newest).state.iteration) * STEPS == steps > 0
    if number == signal.SIGTERM:
        assert training.returncode == 143, errors
        assert "went on" not in printed
        assert f"SIGTERM, so training ends after {steps} of" in errors
    else:
        assert training.returncode == 0, errors
        assert printed.endswith(f"went on {steps // STEPS}\n")


def test_a_second_signal_leaves_at_once(tmp_path):
    source = (
        PROGRAM.format(here=str(ROOT), folder=str(tmp_path))
        .replace("TellWhenRunning()", "TellWhenRunning(), Slow()")
        .replace(
            "env = CartPole()",
            "env = CartPole()\nimport time\nclass Slow(AbstractCallback):\n"
            "    def on_chunk(self, record):\n        print('slow', flush=True); time.sleep(60)\n",
        )
    )
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as training:
        for line in training.stdout:
            if line == "slow\n":
                break
        began = time.monotonic()
        training.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        training.send_signal(signal.SIGTERM)
        assert training.wait(50) == -signal.SIGTERM
        assert time.monotonic() - began < 50
