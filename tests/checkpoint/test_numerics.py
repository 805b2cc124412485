"""Going on is to the bit, or a sentence says which flag, version or device is another."""

import json
import warnings

import jax
import pytest
from jax import random as jr

from perdure._core import dumps_json, sha256
from perdure.algorithm import DQN
from perdure.checkpoint import load, save
from perdure.checkpoint._numerics import FLAGS, cpu, numerics, other_numerics, xla_flags
from perdure.cli._inspect import inspect
from perdure.env.classic_control import CartPole
from perdure.policy import MLPQPolicy

SETTINGS = {"num_envs": 2, "num_steps": 2, "batch_size": 4, "capacity": 32, "learning_starts": 8}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    algorithm, env = DQN(**SETTINGS), CartPole()
    state = algorithm.init(env, MLPQPolicy(env, hidden_sizes=(4,), key=jr.key(0)), key=jr.key(1))
    path = tmp_path_factory.mktemp("numerics") / "a"
    save(path, algorithm, state, buffer=True)
    return path


def rewrite(path, copy, change):
    """A copy of a checkpoint with another record of what it was computed with."""
    copy.mkdir()
    for file in path.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    head = json.loads((copy / "metadata.json").read_bytes())
    del head["digest"]
    change(head)
    (copy / "metadata.json").write_bytes(dumps_json({**head, "digest": sha256(dumps_json(head))}))
    return copy


def test_the_record_holds_every_flag_version_and_the_device(saved):
    record = json.loads((saved / "metadata.json").read_bytes())["numerics"]
    assert record == numerics()
    assert record.keys() == {*FLAGS, "jax", "jaxlib", "XLA_FLAGS", "device"}
    assert record["device"].startswith("cpu ")


@pytest.mark.parametrize("name", sorted(numerics()))
def test_what_differs_is_said_with_both_values(name, saved, tmp_path):
    other = rewrite(saved, tmp_path / "b", lambda head: head["numerics"].update({name: "another"}))
    with pytest.warns(UserWarning, match=rf"b: {name} was 'another' and is '.*'. Going on from it is not to the bit"):
        load(other, buffer=True)


def test_a_flag_of_this_process_is_compared(saved):
    with (
        jax.threefry_partitionable(False),
        pytest.warns(UserWarning, match="jax_threefry_partitionable was 'True' and is 'False'"),
    ):
        load(saved, buffer=True)
    with (
        jax.default_matmul_precision("float32"),
        pytest.warns(UserWarning, match="jax_default_matmul_precision was 'None' and is 'float32'"),
    ):
        load(saved, buffer=True)


@pytest.mark.parametrize("change", [lambda head: head.pop("numerics"), lambda head: head.update(numerics=7)])
def test_a_checkpoint_without_the_record_loads_in_silence(change, saved, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(rewrite(saved, tmp_path / "b", change), buffer=True)


def test_a_flag_that_only_later_versions_know_is_no_difference(saved):
    assert other_numerics({**numerics(), "jax_of_the_future": True}) == {}


def test_where_xla_writes_files_changes_no_bit(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/home/me/x --xla_b=1 --xla_a=2")
    assert xla_flags() == "--xla_b=1 --xla_a=2"


def test_the_processor_is_told_with_its_vector_extensions(monkeypatch, tmp_path):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("perdure.checkpoint._numerics.CPU_INFO", tmp_path / "cpuinfo")
    assert cpu() == "x86_64"
    (tmp_path / "cpuinfo").write_text("processor: 0\nflags\t\t: fpu avx2 sse4_2 fma\n")
    assert cpu() == "x86_64 sse4_2 avx2 fma"


def test_inspect_says_whether_resuming_here_is_to_the_bit(saved, tmp_path, capsys):
    inspect(saved)
    printed = capsys.readouterr().out
    assert "to the bit" in printed
    assert "not to the bit" not in printed
    inspect(rewrite(saved, tmp_path / "b", lambda head: head["numerics"].update(device="tpu v9")))
    assert "not to the bit" in capsys.readouterr().out
