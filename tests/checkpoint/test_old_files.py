"""What earlier versions of Perdure wrote loads, acts and trains on as it did then."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

import perdure.policy
from perdure._core import leaves_with_paths
from perdure.checkpoint import load, load_policy, load_policy_of, save
from perdure.policy import AbstractStatefulPolicy, AbstractStatelessPolicy, Convolutions
from tests.golden.make_first_version import POLICIES, Spaces
from tests.golden.make_first_version_parts import Parts
from tests.golden.make_version_0_2 import POLICIES_AGAIN, Records
from tests.support.first_version import FOLDER, answers, arrays_of, trained_on

GOLDEN = FOLDER.parent
VERSIONS = ("first_version", "version_0_2", "version_0_3")
EXPECTED = {version: json.loads((GOLDEN / version / "expected.json").read_text()) for version in VERSIONS}
CLOSE = {"rtol": 2e-5, "atol": 2e-5}  # machines round differently


def each(what: str) -> list[tuple[str, str]]:
    return [(version, name) for version in VERSIONS for name in EXPECTED[version][what]]


@pytest.mark.parametrize(("version", "name"), each("policies"))
def test_a_policy_acts_as_it_did(version, name):
    policy = load_policy(GOLDEN / version / name)
    for found, wanted in zip(answers(policy), EXPECTED[version]["policies"][name], strict=True):
        np.testing.assert_allclose(found, wanted, **CLOSE)
    has_memory = name.startswith(("Recurrent", "Liquid", "separate"))
    assert isinstance(policy, AbstractStatefulPolicy if has_memory else AbstractStatelessPolicy)


@pytest.mark.parametrize(
    ("version", "name"), [("first_version", name) for name in POLICIES] + [("version_0_2", n) for n in POLICIES_AGAIN]
)
def test_an_eqx_file_loads_with_the_arguments_of_then(version, name):
    observation, action, settings = POLICIES[name]
    named = getattr(perdure.policy, f"{name.split('-')[0]}Policy")
    policy = named.deserialize(GOLDEN / version / name, Spaces(observation, action), **settings, key=jr.key(9))
    assert isinstance(policy, named)
    assert arrays_of(policy) == arrays_of(load_policy(GOLDEN / version / name))


def test_one_of_each_class_of_the_first_version_loads():
    """All that no policy or training of that version has; what is retired is of another class now."""
    parts = load_policy(GOLDEN / "first_version" / "parts")
    assert isinstance(parts, Parts)
    names = [type(part).__name__ for part in (*parts.parts, *parts.records)]
    assert len(names) == len(parts.parts) + 9
    assert {"ActOnMemory", "Truncation", "LiquidCommand", "REINFORCE", "HostSpec"} <= {*names}
    (convolutions,) = [record for record in parts.records if isinstance(record, Convolutions)]
    assert (convolutions.features, convolutions.scale_pixels) == (3, False)  # it was an UnscaledConvolutions
    assert len(leaves_with_paths(parts)) > 60


def test_records_of_bodies_load():
    records = load_policy(GOLDEN / "version_0_2" / "records")
    assert isinstance(records, Records)
    assert [record.kind for record in records.records] == ["mlp", "cnn", "recurrent", "liquid"]
    assert (records.records[0].shared, records.records[2].cell, records.records[3].num_motor) == (True, "lstm", 2)


def test_a_soft_actor_of_lerax_has_its_distribution():
    policy = load_policy(GOLDEN / "tanh_spread")
    _, distribution = policy.evaluate(None, jnp.full(policy.observation_space.shape, 0.5))
    np.testing.assert_allclose(distribution.mean, [-0.61636817, -0.33525765], **CLOSE)
    np.testing.assert_allclose(distribution.log_std, [-2.3074, -0.15804338], **CLOSE)


@pytest.mark.slow
@pytest.mark.parametrize(("version", "name"), each("trainings"))
def test_a_training_goes_on_as_it_did(version, name, tmp_path):
    path = GOLDEN / version / "trainings" / name
    state = trained_on(path)
    for found, wanted in zip(answers(state.policy), EXPECTED[version]["trainings"][name], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-3)
    has_buffer = hasattr(state, "buffer")
    before = load(path, buffer=has_buffer)
    save(tmp_path / "again", before.algorithm, before.state, buffer=has_buffer)
    again = load(tmp_path / "again", buffer=has_buffer)
    assert eqx.tree_equal(jax.tree.structure(again.state), jax.tree.structure(before.state))
    assert arrays_of(again.state) == arrays_of(before.state)
    assert arrays_of(load_policy_of(tmp_path / "again")) == arrays_of(before.policy)
