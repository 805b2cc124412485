"""Each algorithm finds the numbers that each probe environment has for a correct learner."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.algorithm import DQN, PPO
from perdure.env import probe
from perdure.policy import MLPActorCriticPolicy, MLPQPolicy

DISCOUNT = 0.5


def states_of(env):
    """Every kind of situation in a few random episodes: states, observations and masks."""

    def episode(key):
        key_reset, key_step = jr.split(key)
        state, observation = env.reset(key=key_reset)
        rows = []
        for k in jr.split(key_step, env.length):
            rows.append((state, observation))
            action = env.action_space.sample(key=k, mask=env.action_mask(state))
            state, observation, *_ = env.step(state, action, key=k)
        return jax.tree.map(lambda *x: jnp.stack(x), *rows)

    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), jax.vmap(episode)(jr.split(jr.key(7), 8)))


def ppo(env):
    settings = {"discount": DISCOUNT, "learning_rate": 1e-2, "anneal_timesteps": 16_000, "entropy_weight": 0.0}
    algorithm = PPO(num_envs=8, num_steps=16, **settings)
    policy = MLPActorCriticPolicy(env, hidden_sizes=(16,), initial_log_std=-1.0, key=jr.key(0))
    policy = algorithm.learn(env, policy, total_timesteps=16_000, key=jr.key(1), callbacks=())
    return policy, lambda observation: policy.value(None, observation)[1]


def dqn(env):
    algorithm = DQN(discount=DISCOUNT, learning_rate=1e-2, target_interval=20, exploration_timesteps=4_000)
    policy = MLPQPolicy(env, hidden_sizes=(16,), key=jr.key(0))
    policy = algorithm.learn(env, policy, total_timesteps=10_000, key=jr.key(1), callbacks=())
    return policy, lambda observation: policy.q_values(None, observation)[1].max()


PROBES = {
    "constant value": probe.ConstantValue(),
    "value from observation": probe.ValueFromObservation(),
    "discount": probe.Discount(),
    "time limit": probe.TimeLimit(),
    "act": probe.Act(),
    "act on observation": probe.ActOnObservation(),
}
CONTINUOUS = {"act, continuous": probe.Act(True), "act on observation, continuous": probe.ActOnObservation(True)}


@pytest.mark.parametrize(
    ("learn", "env"),
    [
        *[pytest.param(ppo, env, id=f"PPO: {name}") for name, env in {**PROBES, **CONTINUOUS}.items()],
        *[pytest.param(dqn, env, id=f"DQN: {name}") for name, env in PROBES.items()],
    ],
)
def test_the_probe_is_solved(learn, env):
    policy, value = learn(env)
    states, observations = states_of(env)
    expected = jax.vmap(lambda s: env.expected_value(s, DISCOUNT))(states)
    np.testing.assert_allclose(jax.vmap(value)(observations), expected, atol=0.1)
    if env.expected_action(jax.tree.map(lambda x: x[0], states)) is not None:
        action = jax.vmap(lambda o: policy(None, o)[1])(observations)
        expected = jax.vmap(env.expected_action)(states)
        np.testing.assert_allclose(np.asarray(action, float), np.asarray(expected, float), atol=0.15)


def test_ppo_obeys_masks():
    env = probe.Masked()
    policy, _ = ppo(env)
    states, observations = states_of(env)
    masks = jax.vmap(env.action_mask)(states)
    action = jax.vmap(lambda o, m: policy(None, o, action_mask=m)[1])(observations, masks)
    assert (action == jax.vmap(env.expected_action)(states)).all()


def test_dqn_bootstraps_over_legal_actions_only():
    env = probe.Masked()
    policy, _ = dqn(env)
    states, observations = states_of(env)
    q_values = jax.vmap(lambda o: policy.q_values(None, o)[1])(observations)
    masks = jax.vmap(env.action_mask)(states)
    expected = jax.vmap(lambda s: env.expected_q_values(s, DISCOUNT))(states)
    np.testing.assert_allclose(q_values[masks], expected[masks], atol=0.15)


def test_a_feed_forward_policy_cannot_solve_the_memory_probe():
    policy, _ = ppo(probe.Memory())
    action = jax.vmap(lambda o: policy(None, o)[1])(jnp.array([[0.0, 1.0], [0.0, 1.0]]))
    assert action[0] == action[1]  # asked, it cannot tell which sign was shown
