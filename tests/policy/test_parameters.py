"""Parameters by name."""

import equinox as eqx
import jax
import numpy as np
import pytest
from jax import random as jr

from perdure.checkpoint import save_policy
from perdure.policy import MLPQPolicy
from tests.support.policy_kinds import CHOICE, VECTOR, Spaces, make


def policy_of(seed):
    return MLPQPolicy(Spaces(VECTOR, CHOICE), hidden_sizes=(8,), key=jr.key(seed))


def test_parameters_are_named_as_in_a_policy_file_and_are_copies(tmp_path):
    from safetensors.numpy import load_file

    policy = policy_of(0)
    save_policy(tmp_path / "policy.safetensors", policy)
    stored, parameters = load_file(tmp_path / "policy.safetensors"), policy.get_parameters()
    assert list(parameters) == [f"network.layers.{k}.{part}" for k in (0, 1) for part in ("weight", "bias")]
    for name, x in parameters.items():
        np.testing.assert_array_equal(x, stored[name])
        x += 1
    assert all((x == stored[name]).all() for name, x in policy.get_parameters().items())


def test_parameters_of_one_policy_make_another_the_same():
    first, second = policy_of(0), policy_of(1)
    made = second.set_parameters(first.get_parameters())
    assert all((a == b).all() for a, b in zip(jax.tree.leaves(made), jax.tree.leaves(first), strict=True))
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(second), jax.tree.leaves(first), strict=True))


def test_what_is_not_learned_is_no_parameter():
    policy = make("mlp actor-critic")
    assert not any("normalizer" in name for name in policy.get_parameters())
    zeros = policy.set_parameters({name: np.zeros_like(x) for name, x in policy.get_parameters().items()})
    np.testing.assert_array_equal(zeros.normalizer.mean, policy.normalizer.mean)


def test_parameters_that_do_not_fit_are_named():
    policy = policy_of(0)
    good = policy.get_parameters()
    rest = {k: x for k, x in good.items() if k != "network.layers.0.bias"}
    with pytest.raises(ValueError, match=r"lack 'network\.layers\.0\.bias' and have 'layers\.bias' too many"):
        policy.set_parameters({**rest, "layers.bias": np.zeros(8)})
    with pytest.raises(ValueError, match=r"\['network\.layers\.0\.bias'\] is \(7,\), this policy needs \(8,\)"):
        policy.set_parameters({**good, "network.layers.0.bias": np.zeros(7)})
    for bad in (np.full(8, np.nan), np.full(8, "x")):
        with pytest.raises(ValueError, match=r"network\.layers\.0\.bias.*finite numbers"):
            policy.set_parameters({**good, "network.layers.0.bias": bad})


def test_with_its_statistics_a_policy_is_complete():
    seen = make("mlp actor-critic")
    other = jax.tree.map(lambda x: x * 2 + 1 if eqx.is_inexact_array(x) else x, seen)
    complete = other.get_parameters(statistics=True)
    assert {
        "body.normalizer.mean",
        "body.normalizer.variance",
        "body.normalizer.count",
    } <= complete.keys() - other.get_parameters().keys()
    made = seen.set_parameters(complete)
    assert eqx.tree_equal(made, other)
    without = seen.set_parameters(other.get_parameters())
    np.testing.assert_array_equal(without.normalizer.mean, seen.normalizer.mean)
    with pytest.raises(ValueError, match=r"body\.normalizer\.mean.*finite numbers"):
        seen.set_parameters({**complete, "body.normalizer.mean": complete["body.normalizer.mean"] * np.nan})
    with pytest.raises(ValueError, match=r"lack 'body\.normalizer\.count'"):
        seen.set_parameters({name: x for name, x in complete.items() if name != "body.normalizer.count"})
