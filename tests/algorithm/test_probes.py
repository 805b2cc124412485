"""Each algorithm finds the numbers that each probe environment has for a correct learner."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.algorithm import A2C, DDPG, DQN, PPO, QRDQN, REINFORCE, SAC, TD3, TQC, DiscreteSAC
from perdure.algorithm._rollout import collect
from perdure.env import AbstractEnv, probe
from perdure.policy import (
    AbstractActorCriticPolicy,
    AbstractQPolicy,
    LiquidActorCriticPolicy,
    MLPActorCriticPolicy,
    MLPDeterministicPolicy,
    MLPQPolicy,
    MLPQuantileQPolicy,
    MLPSACPolicy,
    RecurrentActorCriticPolicy,
    RecurrentDeterministicPolicy,
    RecurrentQPolicy,
    RecurrentSACPolicy,
)
from perdure.space import Discrete

DISCOUNT = 0.5
ON = {"discount": DISCOUNT, "learning_rate": 1e-2, "num_envs": 8, "num_steps": 16}
OFF = {"discount": DISCOUNT, "learning_rate": 3e-3, "num_envs": 4, "batch_size": 64, "tau": 0.05, "capacity": 20_000}
Q = {**OFF, "learning_rate": 1e-2, "tau": 1.0, "target_interval": 20, "exploration_timesteps": 4_000}
FAITHFUL = {"initial_log_std": -1.0}  # little noise, so that the value is that of the best action

LEARNERS = {
    "PPO": (PPO(**ON, anneal_timesteps=16_000, entropy_weight=0.0), MLPActorCriticPolicy, FAITHFUL, 16_000),
    "A2C": (A2C(**ON, anneal_timesteps=60_000, entropy_weight=0.0), MLPActorCriticPolicy, FAITHFUL, 60_000),
    "REINFORCE": (REINFORCE(**ON, anneal_timesteps=60_000), MLPActorCriticPolicy, FAITHFUL, 60_000),
    "DQN": (DQN(**Q), MLPQPolicy, {}, 10_000),
    "QRDQN": (QRDQN(**Q), MLPQuantileQPolicy, {"num_quantiles": 5}, 12_000),
    "DiscreteSAC": (DiscreteSAC(**OFF, temperature=0.01), MLPSACPolicy, {}, 12_000),
    "DDPG": (DDPG(**OFF), MLPDeterministicPolicy, {}, 20_000),
    "TD3": (TD3(**OFF, target_noise=0.05), MLPDeterministicPolicy, {}, 20_000),
    "SAC": (SAC(**OFF, temperature=0.001), MLPSACPolicy, {}, 12_000),
    "TQC": (TQC(**OFF, temperature=0.001, num_quantiles=5, num_dropped=0), MLPSACPolicy, {}, 12_000),
}
SKILLS = {
    "constant value": probe.ConstantValue,
    "value from observation": probe.ValueFromObservation,
    "discount": probe.Discount,
    "time limit": probe.Truncation,
    "act": probe.Act,
    "act on observation": probe.ActOnObservation,
}
ON_POLICY, CHOOSING, CONTINUOUS = (
    ("PPO", "A2C", "REINFORCE"),
    ("DQN", "QRDQN", "DiscreteSAC"),
    ("DDPG", "TD3", "SAC", "TQC"),
)


class OneOf(AbstractEnv):
    """One probe of `SKILLS`. Which one is an array, so that one compiled training serves them all."""

    which: jax.Array
    probes: tuple

    def __init__(self, skill, *, continuous):
        self.which = jnp.array(list(SKILLS).index(skill))
        self.probes = tuple(kind(continuous=continuous) for kind in SKILLS.values())

    @property
    def observation_space(self):
        return self.probes[0].observation_space

    @property
    def action_space(self):
        return self.probes[0].action_space

    def reset(self, *, key):
        return jax.lax.switch(self.which, [lambda key, env=env: env.reset(key=key) for env in self.probes], key)

    def step(self, state, action, *, key):
        steps = [lambda state, action, key, env=env: env.step(state, action, key=key) for env in self.probes]
        return jax.lax.switch(self.which, steps, state, action, key)


def states_of(env):
    """Every kind of situation in a few random episodes: states and observations."""

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


def learned(name, env, policy_class=None, policy_settings=None, total_timesteps=None, **settings):
    """The state after training; by default with the policy and the length of `LEARNERS`."""
    algorithm, usual, usual_settings, usual_steps = LEARNERS[name]
    algorithm = dataclasses.replace(algorithm, **settings)
    policy_settings = usual_settings if policy_settings is None else policy_settings
    policy = (policy_class or usual)(env, hidden_sizes=(16,), **policy_settings, key=jr.key(0))
    total = total_timesteps or usual_steps
    return algorithm.train(env, policy, total_timesteps=total, key=jr.key(1), callbacks=())


def value(state, observation):
    """What the learner takes an observation to be worth."""
    policy = state.policy
    if isinstance(policy, AbstractQPolicy):
        return policy.q_values(None, observation)[1].max()
    if isinstance(policy, AbstractActorCriticPolicy):
        return policy.value(None, observation)[1]
    chosen = None if isinstance(policy.action_space, Discrete) else policy(None, observation)[1]
    return jnp.stack([critic(None, observation, chosen)[1] for critic in state.learner.critics]).mean(0).max()


@pytest.mark.parametrize("skill", SKILLS)
@pytest.mark.parametrize(
    ("name", "continuous"),
    [
        *((name, continuous) for name in ON_POLICY for continuous in (False, True)),
        *((name, False) for name in CHOOSING),
        *((name, True) for name in CONTINUOUS),
    ],
)
def test_the_probe_is_solved(name, continuous, skill):
    check_solved(learned(name, OneOf(skill, continuous=continuous)), SKILLS[skill](continuous=continuous))


def test_a_policy_that_explores_by_gsde_solves_the_probe_that_needs_all():
    env = probe.ActOnObservation(continuous=True)
    check_solved(learned("SAC", env, policy_settings={"gsde_interval": 4, "initial_log_std": -1.0}), env)


def check_solved(state, env):
    """The values that the learner has learned are right, and so are the actions, where there are right ones."""
    states, observations = states_of(env)
    expected = jax.vmap(lambda s: env.expected_value(s, DISCOUNT))(states)
    np.testing.assert_allclose(jax.vmap(lambda o: value(state, o))(observations), expected, atol=0.1)
    if env.expected_action(jax.tree.map(lambda x: x[0], states)) is not None:
        action = jax.vmap(lambda o: state.policy(None, o)[1])(observations)
        expected = jax.vmap(env.expected_action)(states)
        np.testing.assert_allclose(np.asarray(action, float), np.asarray(expected, float), atol=0.15)


@pytest.mark.parametrize("name", [*ON_POLICY, "DiscreteSAC"])
def test_actors_obey_masks(name):
    env = probe.Masked()
    policy = learned(name, env).policy
    states, observations = states_of(env)
    masks = jax.vmap(env.action_mask)(states)
    action = jax.vmap(lambda o, m: policy(None, o, action_mask=m)[1])(observations, masks)
    assert (action == jax.vmap(env.expected_action)(states)).all()


@pytest.mark.parametrize("name", ["DQN", "QRDQN"])
def test_targets_bootstrap_over_legal_actions_only(name):
    env = probe.Masked()
    policy = learned(name, env).policy
    states, observations = states_of(env)
    q_values = jax.vmap(lambda o: policy.q_values(None, o)[1])(observations)
    masks = jax.vmap(env.action_mask)(states)
    expected = jax.vmap(lambda s: env.expected_q_values(s, DISCOUNT))(states)
    np.testing.assert_allclose(q_values[masks], expected[masks], atol=0.15)


@pytest.mark.parametrize("name", ON_POLICY + CHOOSING)
def test_no_action_in_ten_thousand_is_illegal(name):
    env = probe.Masked()
    algorithm = LEARNERS[name][0]
    state = learned(name, env, total_timesteps=2_000)
    num_steps = -(-10_000 // algorithm.num_envs)
    roll_out = jax.jit(lambda s: collect(env, s.policy, algorithm.behavior(s), s.rollout, num_steps, key=jr.key(3)))
    _, transitions, _ = roll_out(state)
    assert transitions.action.size >= 10_000
    assert np.take_along_axis(transitions.action_mask, transitions.action[..., None], axis=-1).all()
    assert (np.bincount(np.ravel(transitions.action), minlength=4) > 0).all()


RECURRENT = {"memory_size": 16}
MEMORIES = {
    "PPO, GRU": ("PPO", RecurrentActorCriticPolicy, RECURRENT | FAITHFUL, 16_000),
    "PPO, liquid": ("PPO", LiquidActorCriticPolicy, FAITHFUL, 16_000),
    "A2C, GRU": ("A2C", RecurrentActorCriticPolicy, RECURRENT | FAITHFUL, 60_000),
    "REINFORCE, GRU": ("REINFORCE", RecurrentActorCriticPolicy, RECURRENT | FAITHFUL, 60_000),
    "DQN, GRU": ("DQN", RecurrentQPolicy, RECURRENT, 10_000),
    "DDPG, GRU": ("DDPG", RecurrentDeterministicPolicy, RECURRENT, 14_000),
    "TD3, GRU": ("TD3", RecurrentDeterministicPolicy, RECURRENT, 40_000),
    "SAC, GRU": ("SAC", RecurrentSACPolicy, RECURRENT, 14_000),
}


def answers(policy, continuous):
    """What the policy says when it is asked, after it was shown -1 and after it was shown 1."""

    def answer(sign):
        state = policy.reset(key=jr.key(0))
        for observation in ([sign, 0.0], [0.0, 0.0], [0.0, 1.0]):
            state, action = policy(state, jnp.array(observation))
        return float(action[0] if continuous else action)

    return [answer(-1.0), answer(1.0)]


@pytest.mark.parametrize("memory", MEMORIES)
def test_a_memory_solves_the_memory_probe(memory):
    name, policy_class, policy_settings, steps = MEMORIES[memory]
    sequences = {"sequence_length": 6, "burn_in": 0} if name in CHOOSING + CONTINUOUS else {}
    env = probe.ActOnMemory(continuous=name in CONTINUOUS)
    policy = learned(name, env, policy_class, policy_settings, steps, **sequences).policy
    wanted = [-0.5, 0.5] if env.continuous else [0, 1]
    np.testing.assert_allclose(answers(policy, env.continuous), wanted, atol=0.25)  # without a memory, 0.5 off


@pytest.mark.parametrize("name", ["PPO", "DQN", "TD3"])
def test_a_feed_forward_policy_cannot_solve_the_memory_probe(name):
    env = probe.ActOnMemory(continuous=name in CONTINUOUS)
    policy = learned(name, env).policy
    first, second = answers(policy, env.continuous)
    assert first == second  # asked, it cannot tell which sign was shown
