"""Complete policies: every space, masks, bounds, what is trained."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure._core import set_debug, split_trainable
from perdure.policy import MLPActorCriticPolicy, MLPQPolicy, is_stateful, update_normalizer
from perdure.space import AbstractSpace, Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple


class Spaces(NamedTuple):
    """A policy needs no environment, only its spaces."""

    observation_space: AbstractSpace
    action_space: AbstractSpace


VECTOR = Box(-np.inf, np.inf, (3,))
OBSERVATIONS = {
    "vector": VECTOR,
    "image": Box(0, 255, (4, 4, 3), np.uint8),
    "discrete": Discrete(5, start=-2),
    "multi_discrete": MultiDiscrete((2, 3), (1, 0)),
    "multi_binary": MultiBinary((2, 2)),
    "dict": Dict(b=Discrete(3), a=Box(-1, 1, (2, 2))),
    "tuple": Tuple((MultiBinary((2,)), Dict(x=Box(0, 255, (2, 2, 1), np.uint8)))),
}
ACTIONS = {
    "discrete": Discrete(4, start=3),
    "box": Box(np.array([-1.0, 0.5], np.float32), np.array([0.25, 80.0], np.float32)),
    "half_open_box": Box(np.array([[-np.inf], [0.0]], np.float32), np.inf, (2, 1)),
    "multi_discrete": MultiDiscrete((2, 3), (0, 5)),
    "multi_binary": MultiBinary((3, 1)),
}


@pytest.mark.parametrize(
    ("observation", "action"),
    [
        *((observation, "box") for observation in OBSERVATIONS),
        *(("dict", action) for action in ACTIONS if action != "box"),
    ],
)
def test_actions_lie_in_the_space_with_and_without_a_key(observation, action):
    spaces = Spaces(OBSERVATIONS[observation], ACTIONS[action])
    policy = MLPActorCriticPolicy(spaces, hidden_sizes=(8,), initial_log_std=3.0, key=jr.key(0))

    @eqx.filter_jit
    @eqx.filter_vmap(in_axes=(None, 0))
    def act(policy, key):
        key_observation, key_act = jr.split(key)
        sample = policy.observation_space.sample(key=key_observation)
        return policy(None, sample)[1], policy(None, sample, key=key_act)[1]

    for actions in jax.device_get(act(policy, jr.split(jr.key(1), 33))):
        assert actions.dtype == spaces.action_space.dtype
        assert all(spaces.action_space.contains(a) for a in actions)


def test_pixels_are_scaled_and_choices_are_one_hot_in_order_of_the_keys():
    from perdure.policy import features

    image = jnp.full((4, 4, 3), 51, jnp.uint8)
    np.testing.assert_allclose(features(OBSERVATIONS["image"], image), np.full(48, 0.2), rtol=1e-6)
    value = {"b": jnp.array(2), "a": jnp.array([[0.1, 0.2], [0.3, 0.4]])}
    np.testing.assert_allclose(features(OBSERVATIONS["dict"], value), [0.1, 0.2, 0.3, 0.4, 0, 0, 1], rtol=1e-6)


def test_box_actions_are_clipped_and_the_raw_one_is_kept():
    policy = MLPActorCriticPolicy(Spaces(VECTOR, ACTIONS["box"]), key=jr.key(0))
    raw = jnp.array([-7.0, 3.0])
    assert policy.environment_action(raw).tolist() == [-1.0, 3.0]
    assert policy.environment_action(jnp.array([0.3, 1e9])).tolist() == [0.25, 80.0]
    _, _, log_prob, _ = policy.evaluate_action(None, jnp.zeros(3), raw)
    _, distribution, _ = policy.evaluate(None, jnp.zeros(3))
    assert log_prob == distribution.log_prob(raw)


def test_squashed_actions_reach_their_asymmetric_bounds_and_never_pass_them():
    space = ACTIONS["box"]
    policy = MLPActorCriticPolicy(Spaces(VECTOR, space), squash=True, key=jr.key(0))
    low, high = policy.environment_action(jnp.full(2, -50.0)), policy.environment_action(jnp.full(2, 50.0))
    assert (low == space.low).all()
    assert (high == space.high).all()
    np.testing.assert_allclose(policy.environment_action(jnp.zeros(2)), (space.low + space.high) / 2)


@pytest.mark.parametrize("policy_class", [MLPActorCriticPolicy, MLPQPolicy])
def test_masks_hold_for_greedy_and_sampled_actions(policy_class):
    policy = policy_class(Spaces(VECTOR, Discrete(4, start=3)), key=jr.key(0))
    observation = jnp.array([1.0, -1.0, 0.5])
    for legal in ([0], [3], [1, 2], [0, 1, 3]):
        mask = jnp.zeros(4, bool).at[jnp.array(legal)].set(True)
        sample = jax.vmap(lambda k, mask=mask: policy(None, observation, key=k, action_mask=mask)[1])
        chosen = {int(policy(None, observation, action_mask=mask)[1])} | set(sample(jr.split(jr.key(1), 300)).tolist())
        assert chosen <= {3 + i for i in legal}
    nothing = jnp.zeros(4, bool)
    assert policy(None, observation, action_mask=nothing)[1] == 3
    assert policy(None, observation, action_mask=nothing, key=jr.key(2))[1] == 3
    set_debug(True)
    try:
        with pytest.raises(Exception, match="False for every action"):
            jax.block_until_ready(policy(None, observation, action_mask=nothing))
    finally:
        set_debug(False)


def test_epsilon_greedy_explores_uniformly_over_the_legal_actions():
    policy = MLPQPolicy(Spaces(VECTOR, Discrete(5)), epsilon=0.4, key=jr.key(0))
    mask = jnp.array([True, False, True, True, False])
    observation = jnp.array([1.0, 2.0, 3.0])
    best = int(policy(None, observation, action_mask=mask)[1])
    draws = jax.vmap(lambda k: policy(None, observation, key=k, action_mask=mask)[1])(jr.split(jr.key(1), 30_000))
    share = np.bincount(np.asarray(draws), minlength=5) / 30_000
    expected = np.where(np.asarray(mask), 0.4 / 3, 0) + 0.6 * (np.arange(5) == best)
    np.testing.assert_allclose(share, expected, atol=0.012)  # four standard deviations


def test_only_weights_and_log_std_are_trained():
    spaces = Spaces(OBSERVATIONS["dict"], ACTIONS["box"])
    policy = MLPActorCriticPolicy(spaces, hidden_sizes=(8,), normalize_observation=True, key=jr.key(0))
    trained = jax.tree_util.tree_flatten_with_path(split_trainable(policy)[0])[0]
    assert sorted(jax.tree_util.keystr(path) for path, _ in trained) == [
        ".actor.layers[0].bias",
        ".actor.layers[0].weight",
        ".actor.layers[1].bias",
        ".actor.layers[1].weight",
        ".critic.layers[0].bias",
        ".critic.layers[0].weight",
        ".critic.layers[1].bias",
        ".critic.layers[1].weight",
        ".head.log_std",
    ]
    q_policy = MLPQPolicy(Spaces(VECTOR, Discrete(2)), hidden_sizes=(), normalize_observation=True, key=jr.key(0))
    trained = jax.tree_util.tree_flatten_with_path(split_trainable(q_policy)[0])[0]
    assert [jax.tree_util.keystr(path) for path, _ in trained] == [
        ".network.layers[0].weight",
        ".network.layers[0].bias",
    ]


def test_a_shared_trunk_serves_actor_and_critic():
    policy = MLPActorCriticPolicy(Spaces(VECTOR, Discrete(2)), hidden_sizes=(16, 8), shared=True, key=jr.key(0))
    assert [layer.weight.shape for layer in policy.body.trunk.layers] == [(16, 3), (8, 16)]
    assert policy.actor.layers[0].weight.shape == (2, 8)
    gradient = jax.grad(lambda trunk: eqx.tree_at(lambda p: p.body.trunk, policy, trunk).value(None, jnp.ones(3))[1])
    assert any((g != 0).any() for g in jax.tree.leaves(eqx.filter(gradient(policy.body.trunk), eqx.is_array)))


def test_the_normaliser_holds_mean_and_variance_of_all_batches():
    policy = MLPActorCriticPolicy(Spaces(VECTOR, Discrete(2)), normalize_observation=True, key=jr.key(0))
    data = np.random.default_rng(0).normal([5.0, -3.0, 0.0], [10.0, 0.1, 1.0], (700, 3)).astype(np.float32)
    for part in np.split(data, [13, 200, 500]):
        policy = update_normalizer(policy, jnp.asarray(part))
    np.testing.assert_allclose(policy.normalizer.mean, data.mean(0), rtol=1e-4)
    np.testing.assert_allclose(policy.normalizer.variance, data.var(0), rtol=1e-4)
    x = policy.normalizer(jnp.asarray(data[0]))
    np.testing.assert_allclose(x, (data[0] - data.mean(0)) / data.std(0), rtol=1e-3, atol=1e-4)
    assert jnp.abs(policy.normalizer(jnp.full(3, 1e9))).max() == 10


def test_action_and_value_agrees_with_evaluate_action():
    policy = MLPActorCriticPolicy(Spaces(VECTOR, ACTIONS["box"]), key=jr.key(0))
    observation = jnp.array([0.1, 0.2, 0.3])
    _, action, value, log_prob = policy.action_and_value(None, observation, key=jr.key(3))
    _, again, same_log_prob, _ = policy.evaluate_action(None, observation, action)
    assert value == again == policy.value(None, observation)[1]
    assert log_prob == same_log_prob


def test_a_stateless_policy_has_no_state():
    policy = MLPQPolicy(Spaces(VECTOR, Discrete(2)), key=jr.key(0))
    assert policy.reset(key=jr.key(0)) is None
    assert not is_stateful(policy)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: MLPQPolicy(Spaces(VECTOR, ACTIONS["box"]), key=jr.key(0)), TypeError, "needs Discrete actions"),
        (lambda: MLPQPolicy(Spaces(VECTOR, Discrete(2)), epsilon=1.5, key=jr.key(0)), ValueError, "epsilon = 1.5"),
        (lambda: MLPActorCriticPolicy(Spaces(VECTOR, VECTOR), squash=True, key=jr.key(0)), ValueError, "squash=True"),
        (
            lambda: MLPActorCriticPolicy(Spaces(VECTOR, OBSERVATIONS["image"]), key=jr.key(0)),
            TypeError,
            "floating-point",
        ),
        (lambda: MLPActorCriticPolicy(Spaces(VECTOR, OBSERVATIONS["dict"]), key=jr.key(0)), TypeError, "is Dict"),
        (
            lambda: MLPActorCriticPolicy(Spaces(VECTOR, Discrete(2)), hidden_sizes=(), shared=True, key=jr.key(0)),
            ValueError,
            "hidden_sizes is empty",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_mend(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_gymnasium_space_is_refused_with_the_line_that_converts_it():
    gymnasium = pytest.importorskip("gymnasium", reason="needs the extra gym")

    class Env:
        observation_space = gymnasium.spaces.Box(-1, 1, (2,))
        action_space = gymnasium.spaces.Discrete(2)

    with pytest.raises(TypeError, match=r"perdure\.space\.from_gymnasium"):
        MLPActorCriticPolicy(Env(), key=jr.key(0))


def test_a_mask_for_a_box_is_refused():
    policy = MLPActorCriticPolicy(Spaces(VECTOR, ACTIONS["box"]), key=jr.key(0))
    with pytest.raises(ValueError, match="no choices to bar"):
        policy(None, jnp.zeros(3), action_mask=jnp.ones(2, bool))
