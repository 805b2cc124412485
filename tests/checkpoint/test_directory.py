"""Checkpoint directories: what is refused, and that nothing is lost or touched that need not be."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure._core import FileFormatError, dumps_json, leaf_to_numpy, leaves_with_paths, name_of, sha256
from perdure.algorithm import DQN, PPO
from perdure.checkpoint import _digest, latest, load, load_policy_of, save, verify
from perdure.env.classic_control import CartPole
from perdure.policy import MLPActorCriticPolicy, MLPQPolicy
from tests.support.shared_files import ROOT

GOLDEN = Path(__file__).parent.parent / "golden"
DQN_SETTINGS = {"num_envs": 2, "num_steps": 2, "batch_size": 4, "capacity": 32, "learning_starts": 8}


@pytest.fixture(scope="module")
def dqn():
    algorithm, env = DQN(**DQN_SETTINGS), CartPole()
    return algorithm, algorithm.init(env, MLPQPolicy(env, hidden_sizes=(4,), key=jr.key(0)), key=jr.key(1))


@pytest.fixture
def saved(dqn, tmp_path):
    save(tmp_path / "a", *dqn, buffer=True, metadata={"mine": [1, 2]})
    return tmp_path / "a"


def assert_same(one, other):
    for (path, left), (name, right) in zip(leaves_with_paths(one), leaves_with_paths(other), strict=True):
        assert path == name
        assert leaf_to_numpy(left).tobytes() == leaf_to_numpy(right).tobytes(), path


def signed(path, **changes):
    """`metadata.json` with other values, and a digest that fits them."""
    head = {name: x for name, x in {**json.loads(path.read_bytes()), **changes}.items() if name != "digest"}
    path.write_bytes(dumps_json({**head, "digest": sha256(dumps_json(head))}))


def test_everything_comes_back(dqn, saved):
    found = load(saved, buffer=True)
    assert found.algorithm == dqn[0]
    assert_same(found.state, dqn[1])
    assert found.has_buffer
    assert found.metadata == {"mine": [1, 2]}
    assert sorted(path.name for path in saved.iterdir()) == [
        *("buffer_state.safetensors", "metadata.json", "model_state.safetensors"),
        *("optim_state.safetensors", "train_state.safetensors"),
    ]


@pytest.mark.parametrize("was_cut", [True, False], ids=["in pieces", "whole, as at first"])
def test_a_long_file_is_read_and_a_changed_byte_refused(dqn, was_cut, tmp_path, monkeypatch):
    monkeypatch.setattr(_digest, "PIECE", 256 if was_cut else 2**24)
    save(tmp_path / "a", *dqn, buffer=True)
    monkeypatch.setattr(_digest, "PIECE", 256)
    entries = json.loads((tmp_path / "a/metadata.json").read_bytes())["files"]
    assert ("pieces" in entries["buffer_state.safetensors"]) == was_cut
    assert_same(load(tmp_path / "a", buffer=True).state, dqn[1])
    path = tmp_path / "a/buffer_state.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"buffer_state.safetensors: not what was saved"):
        load(tmp_path / "a", buffer=True)


def test_without_the_buffer_it_is_empty_and_says_so(dqn, tmp_path):
    save(tmp_path / "a", *dqn)
    found = load(tmp_path / "a")
    assert not found.has_buffer
    assert int(found.state.buffer.blocks_written) == 0
    assert int(dqn[0].refill(found.state).buffer.blocks_written) == dqn[0].warmup_rollouts
    with pytest.raises(ValueError, match=r"saved without one. Leave it out, or save with buffer=True"):
        load(tmp_path / "a", buffer=True)


def test_the_policy_alone_is_read_from_its_file_alone(dqn, saved, monkeypatch):
    opened, open_file = [], os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest, **named: opened.append(str(path)) or open_file(path, *rest, **named)
    )
    assert_same(load_policy_of(saved), dqn[1].policy)
    assert {Path(path).name for path in opened if str(saved) in path} == {"metadata.json", "model_state.safetensors"}


def test_the_same_state_is_the_same_bytes(dqn, saved, tmp_path):
    save(tmp_path / "b", *dqn, buffer=True, metadata={"mine": [1, 2]})
    for path in saved.iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_an_existing_state_is_replaced_only_by_force(dqn, saved):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    with pytest.raises(FileExistsError, match="force=True"):
        save(saved, *dqn)
    assert before == {path.name: path.read_bytes() for path in saved.iterdir()}
    save(saved, *dqn, force=True)
    assert "buffer_state.safetensors" not in os.listdir(saved)
    assert os.listdir(saved.parent) == ["a"]


def test_force_replaces_nothing_but_checkpoints(dqn, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years")
    with pytest.raises(FileExistsError, match=r"holds 'thesis.txt', which is no part of a checkpoint"):
        save(tmp_path / "home", *dqn, force=True)
    (tmp_path / "file").write_text("a file")
    with pytest.raises(FileExistsError, match="is a file"):
        save(tmp_path / "file", *dqn, force=True)
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years"
    assert sorted(os.listdir(tmp_path)) == ["file", "home"]


def test_a_link_to_a_checkpoint_stays_a_link(dqn, saved, tmp_path):
    (tmp_path / "link").symlink_to(saved)
    save(tmp_path / "link", *dqn, force=True)
    assert (tmp_path / "link").is_symlink()
    assert not load(saved).metadata


@pytest.mark.parametrize("name", ["buffer_state", "model_state", "optim_state", "train_state"])
def test_missing_files_are_named(saved, name):
    (saved / f"{name}.safetensors").unlink()
    with pytest.raises(FileFormatError, match=rf"a/{name}.safetensors is missing"):
        load(saved)


@pytest.mark.parametrize("name", ["more.safetensors", "metadata.json~", "MODEL_STATE.safetensors.1"])
def test_files_too_many_that_may_be_taken_for_its_own_are_named(saved, name):
    (saved / name).write_text("hello")
    for read in (load, load_policy_of, verify):
        with pytest.raises(FileFormatError, match=rf"a/{name} is no part of this checkpoint. Move it away"):
            read(saved)


LITTER = [".DS_Store", "._model_state.safetensors", "._metadata.json", "Thumbs.db", "desktop.ini", ".nfs000000a1"]


@pytest.mark.parametrize("name", [*LITTER, "notes.txt", ".gitkeep", "@eaDir/x"])
def test_files_of_others_are_ignored(dqn, saved, name):
    (saved / name).parent.mkdir(exist_ok=True)
    (saved / name).write_bytes(b"not ours")
    assert_same(load(saved, buffer=True).state, dqn[1])
    assert latest(saved.parent) == saved
    assert (saved / name).exists()


@pytest.mark.parametrize("name", LITTER)
def test_what_systems_put_everywhere_is_no_reason_not_to_replace_a_checkpoint(dqn, saved, name):
    (saved / name).write_bytes(b"not ours")
    save(saved, *dqn, force=True)
    assert name not in os.listdir(saved)
    assert os.listdir(saved.parent) == ["a"]


def test_a_file_of_another_checkpoint_is_named(dqn, saved, tmp_path):
    other = eqx.tree_at(lambda s: s.iteration, dqn[1], dqn[1].iteration + 1)
    save(tmp_path / "b", dqn[0], other, buffer=True)
    shutil.copy(tmp_path / "b" / "train_state.safetensors", saved)
    with pytest.raises(FileFormatError, match=r"a/train_state.safetensors: not what was saved with metadata.json"):
        load(saved)
    load_policy_of(saved)  # does not need it


def test_a_later_format_is_refused_with_the_version_to_install(saved):
    signed(saved / "metadata.json", format="perdure.checkpoint/3", perdure="7.1.0")
    with pytest.raises(
        FileFormatError, match=r'format .perdure.checkpoint/3. is newer .* pip install "perdure>=7.1.0"'
    ):
        load(saved)
    signed(saved / "metadata.json", format="perdure.checkpoint/3", perdure="; rm -rf /")
    with pytest.raises(FileFormatError, match=r"pip install --upgrade perdure$"):
        load(saved)
    signed(saved / "metadata.json", format="else/1")
    with pytest.raises(FileFormatError, match=r"format 'else/1' is not known"):
        load(saved)


def test_names_outside_the_directory_are_refused(saved):
    files = json.loads((saved / "metadata.json").read_bytes())["files"]
    for name in ("../a/model_state.safetensors", "/etc/passwd", "x", "metadata.json"):
        signed(saved / "metadata.json", files={**files, name: files["model_state.safetensors"]})
        with pytest.raises(FileFormatError, match=r"'files' lacks .*, or has it and should not"):
            load(saved)


def test_an_algorithm_that_is_none_is_refused(saved):
    signed(saved / "metadata.json", algorithm=name_of(CartPole))
    with pytest.raises(FileFormatError, match=rf"'{name_of(CartPole)}' is no algorithm"):
        load(saved)
    signed(saved / "metadata.json", algorithm="os.system")
    with pytest.raises(FileFormatError, match=r"os.system"):
        load(saved)


def test_no_directory_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no checkpoint .*nowhere"):
        load(tmp_path / "nowhere")


class Mine(CartPole):
    """An environment of the user's own, which nothing is registered of."""


def test_an_environment_that_cannot_be_described_is_given_on_loading(tmp_path):
    env, algorithm = Mine(), PPO(num_envs=2, num_steps=4)
    state = algorithm.init(env, MLPActorCriticPolicy(env, hidden_sizes=(4,), key=jr.key(0)), key=jr.key(1))
    save(tmp_path / "a", algorithm, state)
    found = load(tmp_path / "a")
    assert found.state is None
    assert_same(found.policy, state.policy)
    assert_same(load(tmp_path / "a", env=env).state, state)


def test_a_frozen_checkpoint_still_loads():
    found = load(GOLDEN / "checkpoint_format_1", buffer=True)
    observation = jnp.array([0.01, -0.2, 0.03, 0.4])
    q_values = found.policy.q_values(None, observation)[1]
    np.testing.assert_allclose(q_values, found.metadata["q_values"], rtol=1e-6)
    assert found.algorithm.steps_taken(found.state) == 40
    assert int(found.algorithm.run(found.state, 4).iteration) == 9


def test_saving_copies_nothing_and_leaves_the_state_as_it_was(dqn, tmp_path):
    before = jax.tree.map(lambda x: x, dqn[1])
    save(tmp_path / "a", *dqn, buffer=True)
    assert_same(before, dqn[1])


PROGRAM = """
import sys; sys.path.insert(0, {here!r})
from tests.checkpoint import test_directory as t
from perdure.checkpoint import BackgroundSaver
algorithm, env = t.DQN(**t.DQN_SETTINGS), t.CartPole()
state = algorithm.init(env, t.MLPQPolicy(env, hidden_sizes=(4,), key=t.jr.key(0)), key=t.jr.key(1))
BackgroundSaver().save({place!r}, algorithm, state, buffer=True)
"""


def test_a_program_that_ends_waits_for_what_is_being_saved(tmp_path):
    source = PROGRAM.format(here=str(ROOT), place=str(tmp_path / "a"))
    subprocess.run([sys.executable, "-c", source], check=True)
    assert load(tmp_path / "a", buffer=True).has_buffer
