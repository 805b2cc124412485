"""A file of another architecture is refused by the field that differs, with both values."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure._core import FingerprintError, fingerprint
from perdure.policy import MLPActorCriticPolicy, MLPQPolicy
from perdure.space import AbstractSpace, Box, Discrete
from perdure.utils import Serializable


class Spaces(NamedTuple):
    observation_space: AbstractSpace = Box(-1.0, 1.0, (3,))
    action_space: AbstractSpace = Discrete(2)


class Change(NamedTuple):
    """What differs from the saved policy, and what the message must say: the field, then the file's value, then ours."""

    message: str
    spaces: Spaces = Spaces()
    settings: dict = {}  # noqa: RUF012 - never written to


CHANGES = {
    "width": Change(r"weight: file has float32\[8,8\].*needs float32\[4,8\]", settings={"hidden_sizes": (8, 4)}),
    "depth": Change(r"layers: file has a tuple of 3, this policy has a tuple of 2", settings={"hidden_sizes": (8,)}),
    "activation": Change(r"activation: file has 'tanh'.*'relu'", settings={"activation": jax.nn.relu}),
    "normaliser": Change(r"normaliz\w+: file has", settings={"normalize_observation": True}),
    "space bound": Change(r"observation_space.high: file has .*1.*2", Spaces(Box(-1.0, 2.0, (3,)))),
    "observation dtype": Change(r"observation_space.* file has float32.*uint8", Spaces(Box(0, 255, (3,), np.uint8))),
    "number of actions": Change(r"action_space.n: file has 2.*4", Spaces(action_space=Discrete(4))),
    "first action": Change(r"action_space.start: file has 0.*1", Spaces(action_space=Discrete(2, start=1))),
}


SPACES = Spaces()


def build(spaces=SPACES, **settings):
    return MLPActorCriticPolicy(spaces, **{"hidden_sizes": (8, 8), "key": jr.key(0), **settings})


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_of_a_policy_is_refused_by_name(name, tmp_path):
    change = CHANGES[name]
    build().serialize(tmp_path / "policy")
    assert fingerprint(build(change.spaces, **change.settings)) != fingerprint(build())
    settings = {"hidden_sizes": (8, 8), **change.settings}
    with pytest.raises(FingerprintError, match=change.message):
        MLPActorCriticPolicy.deserialize(tmp_path / "policy", change.spaces, **settings, key=jr.key(1))


def test_another_key_is_no_change(tmp_path):
    build().serialize(tmp_path / "policy")
    assert fingerprint(build(key=jr.key(5))) == fingerprint(build())
    loaded = MLPActorCriticPolicy.deserialize(tmp_path / "policy", Spaces(), hidden_sizes=(8, 8), key=jr.key(5))
    assert eqx.tree_equal(loaded, build())


def test_another_class_is_refused(tmp_path):
    build().serialize(tmp_path / "policy")
    with pytest.raises(ValueError, match=r"file has StatelessActorCriticPolicy.*StatelessQPolicy"):
        MLPQPolicy.deserialize(tmp_path / "policy", Spaces(), key=jr.key(0))


def test_every_float_setting_counts(tmp_path):
    spaces = Spaces()
    MLPQPolicy(spaces, epsilon=0.1, key=jr.key(0)).serialize(tmp_path / "policy")
    with pytest.raises(ValueError, match=r"epsilon: file has 0.1.*0.2"):
        MLPQPolicy.deserialize(tmp_path / "policy", spaces, epsilon=0.2, key=jr.key(0))


def test_heads_of_one_shape_in_another_order_are_refused(tmp_path):
    class Heads(Serializable):
        heads: dict[str, jax.Array]
        order: tuple[str, ...] = eqx.field(static=True)

        def __init__(self, *order):
            self.heads, self.order = {name: jnp.zeros(4) for name in order}, order

    Heads("value", "advantage").serialize(tmp_path / "heads")
    with pytest.raises(ValueError, match=r"order\[0\]: file has 'value'.*'advantage'"):
        Heads.deserialize(tmp_path / "heads", "advantage", "value")


def test_the_suffix_is_added_never_swapped(tmp_path):
    build().serialize(tmp_path / "policy-0.95")
    assert [p.name for p in tmp_path.iterdir()] == ["policy-0.95.eqx"]
    loaded = MLPActorCriticPolicy.deserialize(tmp_path / "policy-0.95", Spaces(), hidden_sizes=(8, 8), key=jr.key(5))
    assert eqx.tree_equal(loaded, build())
