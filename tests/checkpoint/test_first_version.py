"""What the first version of Perdure wrote loads, acts and trains on as it did then."""

import json

import jax
import numpy as np
import pytest
from jax import random as jr

import perdure.policy
from perdure.checkpoint import load, load_policy, load_policy_of, save
from perdure.policy import AbstractStatefulPolicy, AbstractStatelessPolicy
from tests.golden.make_first_version import POLICIES, Spaces
from tests.support.first_version import FOLDER, answers, arrays_of, trained_on

EXPECTED = json.loads((FOLDER / "expected.json").read_text())
CLOSE = {"rtol": 2e-5, "atol": 2e-5}  # machines round differently


@pytest.mark.parametrize("name", EXPECTED["policies"])
def test_a_policy_acts_as_it_did(name):
    policy = load_policy(FOLDER / name)
    for found, wanted in zip(answers(policy), EXPECTED["policies"][name], strict=True):
        np.testing.assert_allclose(found, wanted, **CLOSE)
    has_memory = name.startswith(("Recurrent", "Liquid"))
    assert isinstance(policy, AbstractStatefulPolicy if has_memory else AbstractStatelessPolicy)


@pytest.mark.parametrize("name", POLICIES)
def test_an_eqx_file_loads_with_the_arguments_of_then(name):
    observation, action, settings = POLICIES[name]
    named = getattr(perdure.policy, f"{name.split('-')[0]}Policy")
    policy = named.deserialize(FOLDER / name, Spaces(observation, action), **settings, key=jr.key(9))
    assert isinstance(policy, named)
    assert arrays_of(policy) == arrays_of(load_policy(FOLDER / name))


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED["trainings"])
def test_a_training_goes_on_as_it_did(name, tmp_path):
    state = trained_on(FOLDER / "trainings" / name)
    for found, wanted in zip(answers(state.policy), EXPECTED["trainings"][name], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-3)
    before = load(FOLDER / "trainings" / name, buffer=hasattr(state, "buffer"))
    save(tmp_path / "again", before.algorithm, before.state, buffer=hasattr(state, "buffer"))
    again = load(tmp_path / "again", buffer=hasattr(state, "buffer"))
    assert jax.tree.structure(again.state) == jax.tree.structure(before.state)
    assert arrays_of(again.state) == arrays_of(before.state)
    assert arrays_of(load_policy_of(tmp_path / "again")) == arrays_of(before.policy)
