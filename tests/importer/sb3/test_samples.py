"""Real and synthetic models of Stable-Baselines3, with what `predict` answered, within each file's own tolerance."""

import jax
import numpy as np
import pytest

from perdure.importer import read_sb3
from perdure.space import Box
from tests.support.sb3 import action_error, answers, answers_in_sequence, head_error
from tests.support.shared_files import sb3_entries, shared_data

DATA = shared_data()
pytestmark = pytest.mark.skipif(DATA is None, reason="the model files of ../shared/data are not here")


def under(arrays, name):
    """An array, or a dict of those named `name.key`."""
    members = {key.removeprefix(f"{name}."): x for key, x in arrays.items() if key.startswith(f"{name}.")}
    return members or arrays[name]


def check(policy, arrays, prefix, tolerance):
    given = answers(policy, under(arrays, f"{prefix}obs"))
    assert head_error(given.head, arrays[f"{prefix}head"]) <= tolerance["head_rtol"]
    if isinstance(policy.action_space, Box):
        assert action_error(policy, given.action, arrays[f"{prefix}action"]) <= tolerance["action_atol"]
    else:
        assert action_error(policy, given.action, arrays[f"{prefix}action"]) == 0


@pytest.mark.parametrize("entry", sb3_entries("sb3"), ids=lambda e: e["file"].removesuffix(".zip"))
def test_a_real_model_answers_as_its_authors_code_does(entry):
    name = entry["file"].removesuffix(".zip")
    arrays = dict(np.load(DATA / "sb3" / entry["golden"]))
    for prefix in ("", "vn_") if entry["vecnormalize"] else ("",):
        vecnormalize = DATA / "sb3" / f"{name}.vecnormalize.pkl" if prefix else None
        policy, report = read_sb3(DATA / "sb3" / entry["file"], vecnormalize=vecnormalize)
        assert report.algorithm.replace("-", "") == entry["algo"]
        assert report.source_class == entry["policy_class"]
        check(policy, arrays, prefix, entry["tol"])


@pytest.mark.parametrize("entry", sb3_entries("sb3_synthetic"), ids=lambda e: e["name"])
def test_a_model_of_a_kind_without_public_files_answers_as_its_authors_code_does(entry):
    folder = DATA / "sb3_synthetic"
    vecnormalize = folder / f"{entry['name']}.vecnormalize.pkl"
    stacked = entry["wrap"] == "stack4"  # which are channel first already
    policy, report = read_sb3(
        folder / entry["zip"], vecnormalize=vecnormalize if entry["wrap"] == "vn" else None, channels_first=stacked
    )
    assert report.algorithm == entry["algo"]
    arrays = dict(np.load(folder / entry["npz"]))
    if entry["wrap"] == "seq":
        check_sequence(policy, arrays)
        return
    if entry["wrap"] == "mask":
        given = answers(policy, arrays["obs"], arrays["action_masks"])
        assert action_error(policy, given.action, arrays["action"]) == 0
        arrays["action"] = arrays["action_nomask"]
    prefix = "vn_" if entry["wrap"] == "vn" else ""
    check(policy, arrays, prefix, {"head_rtol": 5e-6, "action_atol": 1e-5})


def check_sequence(policy, arrays):
    given = answers_in_sequence(policy, arrays["obs"], arrays["episode_start"])
    assert head_error(np.stack([one.head for one in given]), arrays["head"]) <= 5e-6
    assert action_error(policy, np.stack([one.action for one in given]), arrays["action"]) <= 1e-5


def test_the_memory_of_a_recurrent_model_is_that_of_its_authors_code():
    if DATA is None:
        pytest.skip("no data")
    arrays = np.load(DATA / "sb3_synthetic" / "recppo_sep.npz")
    policy, _ = read_sb3(DATA / "sb3_synthetic" / "recppo_sep.zip")
    state = jax.tree.map(lambda x: np.broadcast_to(x, (4, *x.shape)), policy.reset(key=jax.random.key(0)))
    state, _ = jax.vmap(lambda s, o: policy(s, o))(state, arrays["obs"][0])
    for layer, memory in enumerate(state.memory[0]):
        np.testing.assert_allclose(memory.hidden, arrays["h"][0, layer], atol=1e-6)
        np.testing.assert_allclose(memory.cell, arrays["c"][0, layer], atol=1e-6)
