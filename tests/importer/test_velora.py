"""Directories of Velora, made once with the real package by `make_velora.py`."""

import json
import shutil
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from perdure._core import FileFormatError
from perdure.checkpoint import load_policy, save_policy
from perdure.importer import load_velora, read_velora
from perdure.space import Box, Discrete
from tests.support.sb3 import action_error, answers_in_sequence

FILES = Path(__file__).parent / "files"


@pytest.mark.parametrize(
    ("name", "agent", "action_space"),
    [
        ("ddpg", "LiquidDDPG", Box(-1, 1, (2,))),
        ("flow_ct", "NeuroFlowCT", Box(-2, 2, (1,))),
        ("flow", "NeuroFlow", Discrete(2)),
    ],
)
def test_a_directory_answers_as_velora_does_over_sequences(name, agent, action_space):
    policy, report = read_velora(FILES / f"velora_{name}")
    assert report.algorithm == agent
    assert policy.action_space == action_space
    arrays = np.load(FILES / f"velora_{name}" / "golden.npz")
    starts = np.zeros(arrays["observation"].shape[:2], bool)
    given = answers_in_sequence(policy, arrays["observation"], starts)
    assert action_error(policy, np.stack([one.action for one in given]), arrays["action"]) <= 1e-6


def test_the_memory_is_that_of_velora():
    with pytest.warns(UserWarning, match=r"in \[-1, 1\]"):
        policy = load_velora(FILES / "velora_ddpg")
    arrays = np.load(FILES / "velora_ddpg" / "golden.npz")
    state, hidden = policy.body.cell.initial_state(), []
    for observation in jnp.asarray(arrays["observation"][:, 0]):
        state, _ = policy.body.cell.step(state, observation)
        hidden.append(state)
    np.testing.assert_allclose(hidden, arrays["hidden"][:, 0], atol=1e-6)


def test_it_comes_back_from_its_file(tmp_path):
    policy, _ = read_velora(FILES / "velora_flow_ct")
    save_policy(tmp_path / "policy", policy)
    loaded = load_policy(tmp_path / "policy")
    assert bool(eqx.tree_equal(loaded, policy))


def test_what_stays_behind_is_listed(tmp_path):
    folder = copied(tmp_path)
    (folder / "buffer_state.safetensors").write_bytes(b"")
    dropped = read_velora(folder).report.dropped
    assert dropped[0] == "weights of actor_target, critic, critic_target"
    assert "buffer_state.safetensors" in dropped


def copied(tmp_path, name="ddpg"):
    shutil.copytree(FILES / f"velora_{name}", tmp_path / "agent")
    return tmp_path / "agent"


def test_a_class_that_the_metadata_name_is_not_called(tmp_path):
    folder = copied(tmp_path)
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["model"]["optim"] = "antigravity.open"
    (folder / "metadata.json").write_text(json.dumps(metadata))
    assert read_velora(folder).report.algorithm == "LiquidDDPG"


def with_weights(folder, **changes):
    path = folder / "model_state.safetensors"
    weights = safetensors.numpy.load_file(path)
    for name, change in changes.items():
        weights[name.replace("__", ".")] = change(weights[name.replace("__", ".")])
    safetensors.numpy.save_file(weights, path)


REFUSED = {
    "no weights": (lambda folder: (folder / "model_state.safetensors").write_bytes(b"no"), "no safetensors file"),
    "no agent": (lambda folder: (folder / "metadata.json").write_text('{"model": {"layers": 3}}'), "no agent"),
    "no json": (lambda folder: (folder / "metadata.json").write_text("{"), "JSON"),
    "other sizes": (
        lambda folder: (folder / "metadata.json").write_text(
            '{"model": {"n_neurons": 10, "state_dim": 5, "action_dim": 2}}'
        ),
        r"\(5, 2\), but .* of \(4, 2\)",
    ),
    "another number of neurons": (
        lambda folder: (folder / "metadata.json").write_text(
            '{"model": {"n_neurons": 11, "state_dim": 4, "action_dim": 2}}'
        ),
        r"is \[4, 10\], the sizes .* \[4, 11\]",
    ),
    "endless neurons": (
        lambda folder: (folder / "metadata.json").write_text('{"model": {"n_neurons": 1e300}}'),
        "not a number of neurons",
    ),
    "a mask that scales": (
        lambda folder: with_weights(folder, actor__ncp__inter__mask=lambda mask: 2 * mask),
        "where 0 and 1 are usual",
    ),
    "bounds that are none": (
        lambda folder: with_weights(folder, actor__action_scale=lambda scale: -scale),
        r"agent: Box",
    ),
    "NaN": (
        lambda folder: with_weights(folder, actor__ncp__motor__weight=lambda weight: weight * np.nan),
        "NaN or infinity",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_damaged_or_not_known_is_refused_with_a_reason(name, tmp_path):
    harm, message = REFUSED[name]
    folder = copied(tmp_path, "flow_ct" if name.startswith("bounds") else "ddpg")
    harm(folder)
    with pytest.raises(FileFormatError, match=message):
        read_velora(folder)
