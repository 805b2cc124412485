"""What is not finite is saved by nobody who did not ask for it; files that hold it load, and take no place of others."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure._core import AbstractConstant, NonFiniteError, nonfinite
from perdure._core._serializable import _pack
from perdure.algorithm import PPO
from perdure.callback import EvalCallback
from perdure.checkpoint import BackgroundSaver, Retention, checkpoints_in, load, load_policy, save, save_policy
from perdure.evaluation import evaluate
from perdure.policy import MLPActorCriticPolicy
from perdure.utils import Serializable, register
from tests.support.callbacks import ALGORITHM, ENV, begin

NAN, INF = float("nan"), float("inf")


def policy_with(value):
    policy = MLPActorCriticPolicy(ENV, hidden_sizes=(4,), normalize_observation=True, key=jr.key(0))
    return eqx.tree_at(lambda p: p.actor.layers[1].weight, policy, replace_fn=lambda w: w.at[1, 2].set(value))


NAMED = r"'actor\.layers\.1\.weight'\[1, 2\] is "


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_policy_that_is_not_finite_is_saved_only_when_asked_for(value, tmp_path):
    policy, path = policy_with(value), tmp_path / "policy.safetensors"
    with pytest.raises(NonFiniteError, match=rf"saving policy\.safetensors: {NAMED}{value}"):
        save_policy(path, policy)
    assert not path.exists()
    save_policy(path, policy, allow_nonfinite=True)
    np.testing.assert_array_equal(load_policy(path).actor.layers[1].weight[1, 2], value)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_an_eqx_file_of_one_is_refused_and_one_of_before_loads(value, tmp_path):
    policy, path = policy_with(value), tmp_path / "policy.eqx"
    with pytest.raises(NonFiniteError, match=rf"saving policy\.eqx: {NAMED}{value}.* save_policy"):
        policy.serialize(path)
    assert not path.exists()
    path.write_bytes(_pack(policy))
    settings = {"hidden_sizes": (4,), "normalize_observation": True, "key": jr.key(1)}
    found = MLPActorCriticPolicy.deserialize(path, ENV, **settings)
    np.testing.assert_array_equal(found.actor.layers[1].weight[1, 2], value)


def test_a_module_that_is_no_policy_may_hold_what_it_likes(tmp_path):
    @register(name="test.Table")
    class Table(Serializable):
        logits: jax.Array

    table = Table(jnp.array([0.0, -INF]))
    table.serialize(tmp_path / "table")
    save_policy(tmp_path / "table", table)
    assert (
        Table.deserialize(tmp_path / "table", jnp.zeros(2)).logits[1]
        == load_policy(tmp_path / "table").logits[1]
        == -INF
    )


def test_evaluate_refuses_it_unless_asked_for():
    with pytest.raises(NonFiniteError, match=f"evaluate: {NAMED}nan"):
        evaluate(policy_with(NAN), ENV, num_episodes=2, key=jr.key(0))
    returns = evaluate(policy_with(NAN), ENV, num_episodes=2, allow_nonfinite=True, key=jr.key(0))
    assert np.isfinite(returns).all()  # CartPole pays 1 a step whatever is done


def test_a_normaliser_is_looked_at_for_nan_and_infinite_bounds_are_well():
    class Bounds(AbstractConstant):
        low: jax.Array

    assert nonfinite((Bounds(jnp.array([-INF])), jnp.zeros(2))) is None
    assert nonfinite((Bounds(jnp.array([NAN])), jnp.zeros(2))) == "'0.low'[0] is nan"
    assert nonfinite({"half": jnp.array(INF, jnp.bfloat16)}) == "'half' is inf"
    assert nonfinite((jnp.zeros(2), np.array([1, 2]), "words", None, jr.key(0))) is None


def states():
    state = begin()
    spoiled = eqx.tree_at(lambda s: s.policy.critic.layers[0].bias, state, replace_fn=lambda b: b.at[0].set(NAN))
    moments = jax.tree.map(lambda x: jnp.full_like(x, NAN) if eqx.is_inexact_array(x) else x, state.optimizer_state)
    return state, spoiled, eqx.tree_at(lambda s: s.optimizer_state, state, moments)


def test_checkpoints_are_refused_for_policy_and_optimiser(tmp_path):
    _, spoiled, moments = states()
    with pytest.raises(NonFiniteError, match=r"saving a checkpoint: 'policy\.critic\.layers\.0\.bias'\[0\] is nan"):
        save(tmp_path / "a", ALGORITHM, spoiled)
    with pytest.raises(NonFiniteError, match=r"saving a checkpoint: 'optimizer_state\..* is nan"):
        save(tmp_path / "a", ALGORITHM, moments)
    with BackgroundSaver() as saver, pytest.raises(NonFiniteError):
        saver.save(tmp_path / "a", ALGORITHM, spoiled)
    assert not (tmp_path / "a").exists()
    save(tmp_path / "a", ALGORITHM, spoiled, allow_nonfinite=True)
    assert jnp.isnan(load(tmp_path / "a").policy.critic.layers[0].bias[0])


def test_the_last_finite_checkpoint_is_never_pruned_for_later_ones_that_are_not(tmp_path):
    """As earlier versions left them."""
    state, spoiled, moments = states()
    for at, (one, mean) in enumerate([(state, 1.0), (state, 2.0), (spoiled, 9.0), (moments, 8.0)]):
        one = eqx.tree_at(lambda s: s.iteration, one, jnp.int32(at))
        save(tmp_path / f"{at}", ALGORITHM, one, metadata={"episode_return": mean}, allow_nonfinite=True)
    Retention(keep_last=1, keep_best=1).apply(tmp_path)
    assert "1" in [one.path.name for one in checkpoints_in(tmp_path)[0]]
    assert "0" not in [one.path.name for one in checkpoints_in(tmp_path)[0]]


def test_the_best_policy_so_far_is_finite(tmp_path):
    """A training that meets NaN after its first evaluation leaves that one."""
    watch = EvalCallback(ENV, frequency=20, num_episodes=2, path=tmp_path / "best")
    wild = PPO(num_envs=2, num_steps=10, num_minibatches=1, num_epochs=1, learning_rate=1e-3)
    state = wild.run(begin(algorithm=wild), 20, callbacks=[watch])
    broken = eqx.tree_at(lambda s: s.policy.actor.layers[0].bias, state, replace_fn=lambda b: b.at[0].set(NAN))
    with pytest.raises(NonFiniteError, match="Training stopped at step 20"):
        wild.run(broken, 20, callbacks=[watch])
    assert len(watch.history) == 1
    assert nonfinite(watch.best_policy) is None
