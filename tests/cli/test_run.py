"""A run has one truth: its newest whole policy, wherever in its folder that lies."""

import threading

import jax
import pytest
from jax import random as jr

from perdure._core import FileFormatError, owning
from perdure.algorithm import PPO
from perdure.checkpoint import save, save_policy
from perdure.cli._import import _import
from perdure.cli._inspect import inspect
from perdure.cli._run import load_run, newest_of
from perdure.cli._train import train
from perdure.env.classic_control import CartPole
from perdure.policy import MLPActorCriticPolicy, MLPBody
from tests.support.reliability_kit import resign

ALGORITHM = PPO(num_envs=2, num_steps=4, num_minibatches=1, num_epochs=1)
ASKED = {"environment": "CartPole-v1", "total_timesteps": 10**6, "seed": 0, "checkpoints": 10}


@pytest.fixture(scope="module")
def later():
    """States after 8, 16 and 24 steps."""
    policy = MLPActorCriticPolicy(CartPole(), hidden_sizes=(2,), key=jr.key(0))
    state, states = ALGORITHM.init(CartPole(), policy, key=jr.key(1)), {}
    for steps in (8, 16, 24):
        state = ALGORITHM.run(state, 8)
        states[steps] = jax.tree.map(lambda x: x.copy() if hasattr(x, "copy") else x, state)
    return states


@pytest.fixture
def run(tmp_path, later):
    """A function that makes a run with a policy file of those steps, or none, and those checkpoints."""

    def make(policy, *checkpoints):
        if policy is not None:
            metadata = {"environment": "CartPole-v1", "algorithm": "PPO", "steps": policy}
            save_policy(tmp_path / "policy.safetensors", later[policy].policy, metadata=metadata)
        for steps in checkpoints:
            save(tmp_path / f"saves/CartPole_{steps}", ALGORITHM, later[steps], metadata=ASKED)
        return tmp_path

    return make


def weight(policy):
    return policy.actor.layers[0].weight.tobytes()


@pytest.mark.parametrize(
    ("policy", "checkpoints", "newest", "place"),
    [
        (8, (16, 24), 24, "saves/CartPole_24"),
        (24, (8, 16), 24, "policy.safetensors"),
        (16, (8, 16), 16, "policy.safetensors"),
        (None, (8, 16), 16, "saves/CartPole_16"),
        (8, (), 8, "policy.safetensors"),
    ],
)
def test_the_newest_is_used_and_said(run, later, capsys, policy, checkpoints, newest, place):
    folder = run(policy, *checkpoints)
    loaded, metadata = load_run(folder)
    assert weight(loaded) == weight(later[newest].policy)
    assert (metadata["steps"], metadata["environment"], metadata["algorithm"]) == (newest, "CartPole-v1", "PPO")
    assert capsys.readouterr().out.endswith(f": step {newest}, {place}\n")
    inspect(folder)
    assert f": step {newest}, {place}" in capsys.readouterr().out


def damage(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_broken_checkpoint_is_not_the_newest(run, later):
    folder = run(16, 8, 24)
    damage(folder / "saves/CartPole_24/model_state.safetensors")
    with pytest.warns(UserWarning, match="a broken checkpoint was passed over"):
        assert weight(load_run(folder)[0]) == weight(later[16].policy)


def test_a_broken_policy_file_gives_way_to_a_checkpoint_with_a_warning(run, later):
    folder = run(24, 8, 16)
    damage(folder / "policy.safetensors")
    with pytest.warns(UserWarning, match="The newest checkpoint is taken in its place"):
        assert weight(load_run(folder)[0]) == weight(later[16].policy)


def test_a_broken_policy_file_without_a_checkpoint_is_told(run):
    folder = run(24)
    damage(folder / "policy.safetensors")
    with pytest.raises(FileFormatError, match=r"policy\.safetensors"):
        newest_of(folder)


def test_a_checkpoint_of_a_later_format_is_told_and_the_newest_that_can_be_read_is_used(run, later):
    folder = run(8, 16, 24)
    resign(folder / "saves/CartPole_24", {"format": "perdure.checkpoint/9", "perdure": "7.1.0"})
    with pytest.warns(UserWarning, match=r'CartPole_24 cannot be read.*pip install "perdure>=7\.1\.0"'):
        assert weight(load_run(folder)[0]) == weight(later[16].policy)


def test_a_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no policy at"):
        load_run(tmp_path)


def test_a_folder_that_is_owned_is_refused_before_anything_in_it_is_touched(run):
    folder = run(8, 16)
    before = sorted(path for path in folder.rglob("*"))
    held, done = threading.Event(), threading.Event()

    def hold():
        with owning(folder):
            held.set()
            done.wait()

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    try:
        with pytest.raises(BlockingIOError, match="is in use by process"):
            train(ALGORITHM, "CartPole-v1", MLPBody(), out=folder, force=True, compilation_cache=False)
        assert sorted(path for path in folder.rglob("*") if path.name != ".perdure-owner") == before
    finally:
        done.set()
        other.join()


def test_an_import_does_not_mix_with_a_training(run):
    folder = run(None, 8)
    with pytest.raises(FileExistsError, match="holds a training with its checkpoints"):
        _import({}, "sb3", folder / "model.zip", folder, False)
