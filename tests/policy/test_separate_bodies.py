"""A critic that sees more than the actor: learned by PPO, with or without memories, saved and loaded."""

from typing import ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.algorithm import PPO
from perdure.checkpoint import load_policy, save_policy
from perdure.env import AbstractEnv, TimeStep
from perdure.policy import (
    ActorCriticPolicy,
    MLPActorCriticPolicy,
    MLPBody,
    RecurrentBody,
    SeparateStates,
    StatefulActorCriticPolicy,
    StatelessActorCriticPolicy,
    update_normalizer,
)
from perdure.space import Box, Dict, Discrete
from policy_kinds import CHOICE, MIXED, VECTOR, Spaces


@final
class Hidden(AbstractEnv):
    """One step, whose reward is a sign that the robot's sensor does not show, and the simulator does."""

    observation_space: ClassVar[Dict] = Dict(sensor=Box(-1, 1, (1,)), simulator=Box(-1, 1, (1,)))
    action_space: ClassVar[Discrete] = Discrete(2)

    def reset(self, *, key):
        sign = jnp.where(jr.bernoulli(key), 1.0, -1.0)
        return sign, observed(sign)

    def step(self, state, action, *, key):
        return TimeStep(state, observed(state), state, jnp.ones((), bool), jnp.zeros((), bool))


def observed(sign):
    return {"sensor": jnp.zeros(1), "simulator": jnp.reshape(sign, 1)}


BODIES = {
    "mlp": (MLPBody(hidden_sizes=(8,), keys=("sensor",)), MLPBody(hidden_sizes=(16,))),
    "critic with a memory": (
        MLPBody(hidden_sizes=(8,), keys=("sensor",)),
        RecurrentBody(hidden_sizes=(16,), memory_size=8, keys=("simulator",)),
    ),
}


@pytest.mark.parametrize("bodies", BODIES)
def test_ppo_trains_a_critic_that_sees_what_the_actor_does_not(bodies):
    body, critic_body = BODIES[bodies]
    env = Hidden()
    policy = ActorCriticPolicy(env, body, critic_body=critic_body, key=jr.key(0))
    algorithm = PPO(discount=0.5, learning_rate=2e-2, num_envs=8, num_steps=16, num_minibatches=2, entropy_weight=0.0)
    policy = algorithm.learn(env, policy, total_timesteps=4_000, key=jr.key(1))
    start = policy.reset(key=jr.key(0))
    values = [float(policy.value(start, observed(jnp.array(sign)))[1]) for sign in (-1.0, 1.0)]
    np.testing.assert_allclose(values, [-1, 1], atol=0.1)
    first, second = (policy.distribution(start, observed(jnp.array(sign)))[1].mode() for sign in (-1.0, 1.0))
    assert first == second
    gradient = eqx.filter_grad(lambda p: p.distribution(start, observed(jnp.array(1.0)))[1].log_prob(jnp.array(0)))(
        policy
    )
    assert not any(np.any(g) for g in jax.tree.leaves(gradient.critic))


@pytest.mark.parametrize(
    ("body", "critic_body", "cls"),
    [
        (MLPBody(), MLPBody(), StatelessActorCriticPolicy),
        (MLPBody(), RecurrentBody(), StatefulActorCriticPolicy),
        (RecurrentBody(memory_size=3), MLPBody(shared=True), StatefulActorCriticPolicy),
        (RecurrentBody(), RecurrentBody(cell="lstm"), StatefulActorCriticPolicy),
    ],
)
def test_it_is_stateful_where_one_of_the_two_is(body, critic_body, cls, tmp_path):
    policy = ActorCriticPolicy(Spaces(VECTOR, CHOICE), body, critic_body=critic_body, key=jr.key(0))
    assert type(policy) is cls
    state, _, value = policy.evaluate(policy.reset(key=jr.key(0)), jnp.ones(3))
    assert value.shape == ()
    if cls is StatefulActorCriticPolicy:
        assert isinstance(state, SeparateStates)
    save_policy(tmp_path / "policy", policy)
    assert eqx.tree_equal(load_policy(tmp_path / "policy"), policy)


def test_the_actor_is_the_one_that_it_would_be_alone():
    spaces = Spaces(VECTOR, CHOICE)
    alone = MLPActorCriticPolicy(spaces, hidden_sizes=(4,), key=jr.key(0))
    beside = MLPActorCriticPolicy(spaces, hidden_sizes=(4,), critic_body=MLPBody(hidden_sizes=(5,)), key=jr.key(0))
    assert eqx.tree_equal(alone.actor, beside.actor)
    assert isinstance(beside, MLPActorCriticPolicy)


def test_each_body_has_statistics_of_what_it_sees():
    policy = ActorCriticPolicy(
        Spaces(MIXED, CHOICE),
        MLPBody(keys=("speed",), normalize_observation=True),
        critic_body=MLPBody(keys=("gear", "speed"), normalize_observation=True),
        key=jr.key(0),
    )
    batch = jax.vmap(lambda k: MIXED.sample(key=k))(jr.split(jr.key(1), 20))
    updated = update_normalizer(policy, batch)
    np.testing.assert_allclose(updated.normalizer.mean, np.mean(batch["speed"], 0), rtol=1e-5)
    assert updated.body.critic.normalizer.mean.shape == (5,)
    assert updated.body.critic.normalizer.count == 20


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: MLPActorCriticPolicy(Spaces(VECTOR, CHOICE), keys=("a",), key=jr.key(0)),
            TypeError,
            "choose from a Dict",
        ),
        (
            lambda: MLPActorCriticPolicy(Spaces(MIXED, CHOICE), keys=("speed", "depth"), key=jr.key(0)),
            ValueError,
            r"keys has \['depth'\]",
        ),
        (
            lambda: ActorCriticPolicy(Spaces(VECTOR, CHOICE), separate_critic=True, key=jr.key(0)),
            ValueError,
            "MLPBody has no memory",
        ),
        (
            lambda: ActorCriticPolicy(
                Spaces(VECTOR, CHOICE), RecurrentBody(), separate_critic=True, critic_body=MLPBody(), key=jr.key(0)
            ),
            ValueError,
            "Choose one",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()
