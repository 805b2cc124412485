"""What the families differ in: dueling and quantile values, soft and deterministic actors, gSDE, critics."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure._core import split_trainable
from perdure.distribution import Categorical, SquashedNormal, StateDependentNormal
from perdure.policy import (
    AbstractDeterministicPolicy,
    Architecture,
    MLPActorCriticPolicy,
    MLPDeterministicPolicy,
    MLPQPolicy,
    MLPSACPolicy,
    QFunction,
    RecurrentSACPolicy,
    held_noise,
    update_normalizer,
)
from perdure.space import Box, MultiBinary
from tests.support.policy_kinds import CHOICE, FORCE, MIXED, VECTOR, Spaces, make

X = jnp.array([0.3, -1.0, 2.0])


def test_dueling_values_are_the_state_value_plus_advantages_over_their_mean():
    policy = make("mlp q, dueling")
    advantage, value = np.asarray(policy.network(X)), np.asarray(policy.state_value(X))
    np.testing.assert_allclose(policy.q_values(None, X)[1], value + advantage - advantage.mean(), rtol=1e-5)


def test_q_values_are_means_of_quantiles():
    policy = make("mlp quantiles")
    _, quantiles = policy.quantiles(None, X)
    assert quantiles.shape == (4, 5)
    np.testing.assert_array_equal(quantiles, policy.network(X).reshape(4, 5))
    np.testing.assert_allclose(policy.q_values(None, X)[1], quantiles.mean(1), rtol=1e-6)


def test_dueling_quantiles_subtract_the_mean_over_actions_of_each_quantile():
    policy = make("lstm quantiles, dueling")
    state = policy.reset(key=jr.key(0))
    x = policy.body(state, X)[1]
    advantage, value = np.asarray(policy.network(x)).reshape(4, 5), np.asarray(policy.state_value(x))
    np.testing.assert_allclose(
        policy.quantiles(state, X)[1], value + advantage - advantage.mean(0), rtol=1e-4, atol=1e-5
    )


def test_a_normalised_action_is_scaled_to_the_bounds():
    """FORCE is [-1, 0.25] x [0.5, 80]: its middle is (-0.375, 40.25)."""
    policy = make("mlp deterministic")
    np.testing.assert_allclose(policy.environment_action(jnp.zeros(2)), [-0.375, 40.25], rtol=1e-6)
    assert policy.environment_action(jnp.array([-1.0, 1.0])).tolist() == [-1.0, 80.0]
    assert policy.environment_action(jnp.array([7.0, -7.0])).tolist() == [0.25, 0.5]  # noise may leave [-1, 1]
    _, normalized = policy.normalized_action(None, X)
    assert (jnp.abs(normalized) <= 1).all()
    np.testing.assert_array_equal(policy(None, X)[1], policy.environment_action(normalized))


def test_the_spread_of_a_soft_actor_depends_on_the_observation_and_is_clipped():
    policy = make("mlp soft")
    outputs = policy.network(X)
    _, distribution = policy.evaluate(None, X)
    assert isinstance(distribution, SquashedNormal)
    np.testing.assert_allclose(distribution.mean, outputs[:2], rtol=1e-6)
    np.testing.assert_allclose(distribution.log_std, outputs[2:], rtol=1e-6)
    wild = eqx.tree_at(lambda p: p.network.layers[-1].bias, policy, jnp.array([0.0, 0.0, 90.0, -90.0]))
    assert wild.evaluate(None, X)[1].log_std.tolist() == [2.0, -20.0]
    raw = jnp.array([0.5, -3.0])
    np.testing.assert_allclose(policy.normalized_action(raw), np.tanh(raw), rtol=1e-6)
    middle, half = (FORCE.low + FORCE.high) / 2, (FORCE.high - FORCE.low) / 2
    np.testing.assert_allclose(policy.environment_action(raw), middle + half * np.tanh(raw), rtol=1e-5)


def test_a_discrete_soft_actor_has_indices_for_raw_and_normalised_actions():
    policy = make("mlp soft, discrete")
    mask = jnp.array([False, True, True, False])
    _, distribution = policy.evaluate(None, X, mask)
    assert isinstance(distribution, Categorical)
    index = distribution.mode()
    assert policy.normalized_action(index) == index
    assert policy.environment_action(index) == index + 3


@pytest.mark.parametrize("kind", ["mlp actor-critic, squash, gSDE", "mlp soft, gSDE"])
def test_gsde_explores_on_what_the_last_layer_sees_and_trains_it_in_soft_actors_only(kind):
    policy = make(kind)
    network = policy.network if kind == "mlp soft, gSDE" else policy.actor
    _, distribution = policy.distribution(None, X)
    assert isinstance(distribution, StateDependentNormal)
    assert distribution.squash
    np.testing.assert_array_equal(distribution.features, network.hidden(X))
    np.testing.assert_array_equal(policy(None, X)[1], policy.environment_action(network(X)))

    def spread(policy):
        return policy.distribution(None, X)[1].marginal().log_std.sum()

    gradient = jax.tree.map(lambda g: bool((g != 0).any()), split_trainable(eqx.filter_grad(spread)(policy))[0])
    used = {
        jax.tree_util.keystr(path) for path, is_used in jax.tree_util.tree_flatten_with_path(gradient)[0] if is_used
    }
    hidden = {f".network.layers[{i}].{name}" for i in range(len(network.layers) - 1) for name in ("weight", "bias")}
    assert used == ({".log_std"} | hidden if kind == "mlp soft, gSDE" else {".head.log_std"})


def test_the_means_of_a_soft_actor_with_gsde_stay_where_tanh_has_a_slope():
    policy = make("mlp soft, gSDE")
    policy = eqx.tree_at(lambda p: p.network.layers[-1].bias, policy, jnp.array([3.0, -50.0]))
    np.testing.assert_array_equal(policy.distribution(None, X)[1].mean, [2.0, -2.0])


def test_the_action_begins_with_the_spread_that_was_asked_for_where_features_are_of_unit_size():
    policy = MLPActorCriticPolicy(Spaces(VECTOR, FORCE), gsde_interval=4, initial_log_std=-1.0, key=jr.key(0))
    distribution = policy.head.distribution(jnp.zeros(2), None, jnp.ones(64))
    np.testing.assert_allclose(distribution.marginal().log_std, -1.0, atol=1e-4)


def test_one_draw_of_noise_is_held_for_the_interval():
    held = np.asarray(held_noise(make("mlp actor-critic, squash, gSDE"), 10, key=jr.key(0)))
    assert held.shape == (10, 8, 2)
    same = (held[1:] == held[:-1]).all((1, 2)).tolist()
    assert same == [True, True, True, False, True, True, True, False, True]  # 4 + 4 + 2 steps
    free = np.asarray(held_noise(make("mlp soft"), 10, key=jr.key(0)))
    assert len(np.unique(free[:, 0])) == 10


def test_marginal_noise_has_one_number_for_each_entry_of_the_action():
    for kind in ("mlp soft, gSDE", "mlp soft"):
        policy = make(kind)
        assert policy.noise((3,), is_marginal=True, key=jr.key(0)).shape == (3, 2)
        np.testing.assert_array_equal(
            policy.noise(is_marginal=True, key=jr.key(0)),
            policy.distribution(None, X)[1].marginal().noise(key=jr.key(0)),
        )


def test_a_q_function_takes_the_normalised_action_beside_the_features():
    q = QFunction(VECTOR, FORCE, num_outputs=3, hidden_sizes=(8,), key=jr.key(0))
    action = jnp.array([0.5, -0.5])
    np.testing.assert_array_equal(q(None, X, action)[1], q.network(jnp.concatenate([X, action])))
    assert q(None, X, action)[1].shape == (3,)


def test_a_discrete_q_function_has_one_value_an_action():
    q = QFunction(VECTOR, CHOICE, key=jr.key(0))
    assert q(None, X)[1].shape == (4,)
    with pytest.raises(TypeError, match="call with an observation only"):
        q(None, X, jnp.ones(2))


def test_a_q_function_like_a_policy_has_its_architecture_and_statistics_but_new_weights():
    policy = make("mlp deterministic")
    q = QFunction(VECTOR, FORCE, like=policy, key=jr.key(5))
    assert q.body.architecture == policy.body.architecture
    assert q.network.hidden_sizes == (8, 8)
    assert q.network.activation is policy.network.activation
    assert eqx.tree_equal(q.normalizer, policy.normalizer)
    images = QFunction(MIXED, FORCE, like=make("cnn deterministic"), key=jr.key(5))
    assert len(images.body.cnns) == 2
    assert not eqx.tree_equal(images.body.cnns, make("cnn deterministic").body.cnns)


def test_twin_critics_differ_and_take_the_same_statistics():
    policy = make("mlp deterministic")
    twins = tuple(QFunction(VECTOR, FORCE, like=policy, key=jr.key(i)) for i in range(2))
    batch = jr.normal(jr.key(1), (20, 3)) * 3
    twins = update_normalizer(twins, batch)
    expected = update_normalizer(policy, batch).normalizer
    for one in twins:
        np.testing.assert_allclose(one.normalizer.mean, expected.mean, rtol=1e-5)
    first, second = (one(None, X, jnp.ones(2))[1] for one in twins)
    assert first != second


def test_a_q_function_may_have_a_memory_of_its_own():
    policy = RecurrentSACPolicy(Spaces(VECTOR, FORCE), memory_size=4, key=jr.key(0))
    q = QFunction(VECTOR, FORCE, like=policy, key=jr.key(1))
    state, first = q(q.reset(), X, jnp.ones(2))
    assert (q(state, X, jnp.ones(2))[1] != first).all()


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: MLPDeterministicPolicy(Spaces(VECTOR, CHOICE), key=jr.key(0)), TypeError, "needs a Box"),
        (lambda: MLPDeterministicPolicy(Spaces(VECTOR, VECTOR), key=jr.key(0)), ValueError, "finite bound"),
        (lambda: MLPSACPolicy(Spaces(VECTOR, MultiBinary((2,))), key=jr.key(0)), TypeError, "needs a Box"),
        (lambda: MLPSACPolicy(Spaces(VECTOR, CHOICE), gsde_interval=4, key=jr.key(0)), TypeError, "needs a Box"),
        (lambda: MLPActorCriticPolicy(Spaces(VECTOR, CHOICE), gsde_interval=4, key=jr.key(0)), ValueError, "gSDE adds"),
        (lambda: MLPActorCriticPolicy(Spaces(VECTOR, FORCE), gsde_interval=0, key=jr.key(0)), ValueError, "interval=0"),
        (lambda: MLPQPolicy(Spaces(VECTOR, FORCE), key=jr.key(0)), TypeError, "needs Discrete actions"),
        (lambda: QFunction(VECTOR, MultiBinary((2,)), key=jr.key(0)), TypeError, "takes a Box or Discrete"),
        (lambda: QFunction(VECTOR, CHOICE, num_outputs=5, key=jr.key(0)), ValueError, "num_outputs=5"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_mend(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_an_architecture_may_be_given_instead_of_a_policy():
    q = QFunction(VECTOR, FORCE, like=Architecture(trunk_sizes=(6,)), hidden_sizes=(), key=jr.key(0))
    assert q.network.layers[0].weight.shape == (1, 6 + 2)
    assert isinstance(q.action_space, Box)


def test_a_deterministic_policy_of_a_users_may_call_its_action_as_the_first_version_did():
    class Former(AbstractDeterministicPolicy):
        name: ClassVar[str] = "Former"
        observation_space: Box = eqx.field(static=True)
        action_space: Box = eqx.field(static=True)

        def reset(self, *, key):
            return None

        def actor(self, state, observation):
            return state, jnp.tanh(observation[:2])

    policy = Former(VECTOR, FORCE)
    np.testing.assert_array_equal(policy.normalized_action(None, X)[1], jnp.tanh(X[:2]))
    assert FORCE.contains(policy(None, X)[1])
