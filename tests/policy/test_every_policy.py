"""What holds for every kind of policy: actions, masks, memory, files, what is trained."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure._core import split_trainable
from perdure.checkpoint import load_policy, save_policy
from perdure.policy import (
    AbstractDeterministicPolicy,
    AbstractPolicyState,
    AbstractStatefulPolicy,
    AbstractStatelessPolicy,
    AbstractStochasticPolicy,
    is_stateful,
    update_normalizer,
)
from perdure.space import Box
from tests.support.policy_kinds import KINDS, arguments, make, some_slow

STEPS = 12
QUICK = ("cnn actor-critic, dict", "gru q", "mlp deterministic", "liquid soft")


@eqx.filter_jit
def episode(policy, key, has_key=False):
    """Observations and actions of a few steps from a fresh memory, and the memory at the end."""
    key_reset, key_steps = jr.split(key)

    def step(state, key):
        key_observation, key_act, key_mask = jr.split(key, 3)
        observation = policy.observation_space.sample(key=key_observation)
        size = policy.action_space.mask_size
        mask = jr.bernoulli(key_mask, 0.3, (size,)) if size else None
        state, action = policy(state, observation, key=key_act if has_key else None, action_mask=mask)
        return state, (observation, mask, action)

    return jax.lax.scan(step, policy.reset(key=key_reset), jr.split(key_steps, STEPS))


def barred(space, mask, action):
    """Where a component's choice is barred although the component has legal ones."""
    sizes = getattr(space, "nvec", None) or (space.n,)
    parts = np.split(mask, np.cumsum(sizes)[:-1])
    chosen = np.atleast_1d(action) - np.atleast_1d(space.start)
    return [bool(part.any() and not part[c]) for part, c in zip(parts, chosen, strict=True)]


@pytest.mark.parametrize("kind", some_slow(QUICK))
def test_actions_lie_in_the_space_and_are_legal_with_and_without_a_key(kind):
    policy, taken = make(kind), []
    for has_key in (False, True):
        state, (_, masks, actions) = jax.device_get(episode(policy, jr.key(7), has_key))
        assert actions.dtype == policy.action_space.dtype
        assert all(policy.action_space.contains(action) for action in actions)
        if masks is not None:
            assert not any(any(barred(policy.action_space, m, a)) for m, a in zip(masks, actions, strict=True))
        taken.append(actions)
        assert (state is None) == isinstance(policy, AbstractStatelessPolicy)
    if isinstance(policy, AbstractStochasticPolicy) and isinstance(policy.action_space, Box):
        assert not np.array_equal(*taken)
    elif isinstance(policy, AbstractDeterministicPolicy):
        np.testing.assert_array_equal(*taken)


@pytest.mark.parametrize("kind", some_slow(QUICK, [k for k in KINDS if k.startswith(("gru", "lstm", "liquid"))]))
def test_what_was_seen_before_changes_what_is_done(kind):
    """The same observation after another past gives other numbers; the memory is float32 and starts at zero."""
    policy = make(kind)
    assert isinstance(policy, AbstractStatefulPolicy)
    assert is_stateful(policy)
    fresh = policy.reset(key=jr.key(0))
    assert isinstance(fresh, AbstractPolicyState)
    assert all(leaf.dtype == jnp.float32 and (leaf == 0).all() for leaf in jax.tree.leaves(fresh))
    used, _ = episode(policy, jr.key(1))
    assert jax.tree.structure(used) == jax.tree.structure(fresh)
    observation = policy.observation_space.sample(key=jr.key(2))
    first, second = (policy.body(state, observation)[1] for state in (fresh, used))
    assert not np.allclose(first, second)


@pytest.mark.parametrize("kind", some_slow(QUICK))
def test_every_policy_comes_back_from_both_kinds_of_file(kind, tmp_path):
    policy, (cls, spaces, settings) = make(kind), arguments(kind)
    policy.serialize(tmp_path / "policy")
    save_policy(tmp_path / "policy", policy)
    constructed = cls.deserialize(tmp_path / "policy", spaces, **settings, key=jr.key(9))
    for loaded in (constructed, load_policy(tmp_path / "policy")):
        assert bool(eqx.tree_equal(loaded, policy))
        assert type(loaded) is type(policy)


def trained(module):
    """The parts that an optimiser sees, without the numbers of layers."""
    paths = jax.tree_util.tree_flatten_with_path(split_trainable(module)[0])[0]
    names = {re.sub(r"\.(weight|bias)$", "", jax.tree_util.keystr(path)) for path, _ in paths}
    return {re.sub(r"\.layers\[\d+\]|\[\d+\]", "", name).lstrip(".") for name in names}


CNN_PARTS = {"body.cnns.convs", "body.cnns.dense"}
GATES = {"body.cell.input", "body.cell.recurrent"}
LIQUID_PARTS = {f"body.cell.{part}.layer" for part in ("inter", "command", "motor")}
TWO_LIQUID = {f"body.cell.cells.{part}.layer" for part in ("inter", "command", "motor")}
TRAINED = {
    "mlp actor-critic": {"actor", "critic"},
    "mlp actor-critic, shared, gSDE": {"body.trunk", "actor", "critic", "head.log_std"},
    "mlp actor-critic, squash, gSDE": {"actor", "critic", "head.log_std"},
    "cnn actor-critic": CNN_PARTS | {"actor", "critic"},
    "cnn actor-critic, dict": CNN_PARTS | {"body.trunk", "actor", "critic", "head.log_std"},
    "gru actor-critic": GATES | {"body.trunk", "actor", "critic"},
    "lstm actor-critic, two": {
        "body.cell.cells.input",
        "body.cell.cells.recurrent",
        "body.trunk",
        "actor",
        "critic",
        "head.log_std",
    },
    "gru actor-critic, dict": GATES | CNN_PARTS | {"body.trunk", "actor", "critic"},
    "liquid actor-critic": LIQUID_PARTS | {"actor", "critic", "head.log_std"},
    "liquid actor-critic, two": TWO_LIQUID | {"actor", "critic"},
    "mlp q": {"network"},
    "mlp q, dueling": {"network", "state_value"},
    "cnn q": CNN_PARTS | {"network", "state_value"},
    "gru q": GATES | {"body.trunk", "network"},
    "liquid q": LIQUID_PARTS | {"network"},
    "mlp quantiles": {"network"},
    "cnn quantiles": CNN_PARTS | {"network"},
    "lstm quantiles, dueling": GATES | {"body.trunk", "network", "state_value"},
    "liquid quantiles": LIQUID_PARTS | {"network"},
    "mlp deterministic": {"network"},
    "cnn deterministic": CNN_PARTS | {"network"},
    "gru deterministic": GATES | {"body.trunk", "network"},
    "liquid deterministic": LIQUID_PARTS | {"network"},
    "mlp soft": {"network"},
    "mlp soft, discrete": {"network"},
    "mlp soft, gSDE": {"network", "log_std"},
    "cnn soft": CNN_PARTS | {"network"},
    "lstm soft": GATES | {"body.trunk", "network"},
    "gru soft, discrete": GATES | {"body.trunk", "network"},
    "liquid soft": LIQUID_PARTS | {"network"},
}


@pytest.mark.parametrize("kind", some_slow(QUICK))
def test_only_weights_and_spreads_are_trained(kind):
    cls, spaces, settings = arguments(kind)
    shapes = eqx.filter_eval_shape(lambda key: cls(spaces, **settings, key=key), jr.key(0))
    arrays = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype) if isinstance(x, jax.ShapeDtypeStruct) else x, shapes)
    assert trained(arrays) == TRAINED[kind]


@pytest.mark.parametrize("kind", ["mlp actor-critic", "cnn actor-critic, dict", "gru actor-critic, dict"])
def test_statistics_run_over_all_numbers_that_are_no_image(kind):
    cls, spaces, settings = arguments(kind)
    policy = cls(spaces, **settings, key=jr.key(0))
    batch = jax.vmap(lambda k: policy.observation_space.sample(key=k))(jr.split(jr.key(1), 50))
    flat = np.asarray(jax.vmap(policy.body.flat)(batch))
    assert flat.shape[1] == (3 if kind == "mlp actor-critic" else 5)  # speed 2, gear 3
    updated = update_normalizer(policy, batch)
    np.testing.assert_allclose(updated.normalizer.mean, flat.mean(0), atol=1e-5)
    np.testing.assert_allclose(updated.normalizer.variance, flat.var(0), rtol=1e-4)
    assert updated.normalizer.count == 50


@pytest.mark.parametrize("kind", ["mlp soft", "mlp deterministic", "liquid actor-critic"])
def test_a_mask_for_a_box_is_refused(kind):
    policy = make(kind)
    observation = policy.observation_space.canonical()
    with pytest.raises(ValueError, match="no choices to bar"):
        policy(policy.reset(key=jr.key(0)), observation, action_mask=jnp.ones(2, bool))
