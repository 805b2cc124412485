"""The numbers that the probes promise, worked out by playing the best actions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.env import probe

DISCOUNT = 0.5
KINDS = [probe.ConstantValue, probe.ValueFromObservation, probe.Discount]
KINDS += [probe.Act, probe.ActOnObservation, probe.ActOnMemory]
PROBES = [kind(continuous=continuous) for kind in KINDS for continuous in (False, True)]


def play(env: probe.AbstractProbe, key: Any) -> tuple[list[float], list[float]]:
    """Rewards of one episode under the best actions, and the value promised before each."""
    state, _ = env.reset(key=key)
    rewards, values, over = [], [], False
    while not over:
        action = env.expected_action(state)
        if action is None:
            action = env.action_space.sample(key=key)
        assert env.action_space.contains(action)
        values.append(float(env.expected_value(state, DISCOUNT)))
        step = env.step(state, action, key=key)
        state, over = step.state, bool(step.terminated | step.truncated)
        rewards.append(float(step.reward))
    return rewards, values


@pytest.mark.parametrize("env", PROBES, ids=lambda env: f"{env.name}{'-continuous' if env.continuous else ''}")
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_expected_values_are_the_discounted_rewards_of_the_expected_actions(env: Any, seed: int) -> None:
    rewards, values = play(env, jr.key(seed))
    returns = [sum(r * DISCOUNT**i for i, r in enumerate(rewards[start:])) for start in range(len(rewards))]
    assert values == pytest.approx(returns)


def test_both_signs_are_drawn_evenly() -> None:
    _, observation = jax.vmap(lambda key: probe.ActOnObservation().reset(key=key))(jr.split(jr.key(0), 2000))
    assert set(np.unique(observation)) == {-1, 1}
    assert abs(float(observation.mean())) < 0.1


def test_the_discount_probe_pays_at_the_end() -> None:
    rewards, values = play(probe.Discount(), jr.key(0))
    assert rewards == [0, 1]
    assert values == [0.5, 1]  # 0.5 * 1, then 1


def test_the_time_limit_probe_is_only_ever_truncated() -> None:
    env = probe.Truncation()
    state, _ = env.reset(key=jr.key(0))
    flags = []
    for _ in range(3):
        step = env.step(state, jnp.asarray(0), key=jr.key(0))
        state = step.state
        flags.append((bool(step.terminated), bool(step.truncated)))
    assert flags == [(False, False), (False, False), (False, True)]
    assert float(env.expected_value(state, DISCOUNT)) == 2  # 1 / (1 - 0.5)


def test_wrong_actions_earn_less() -> None:
    key = jr.key(0)
    state, _ = probe.Act().reset(key=key)
    assert float(probe.Act().step(state, jnp.asarray(0), key=key).reward) == -1
    # 1 - (-0.5 - 0.5)^2 = 0
    assert float(probe.Act(continuous=True).step(state, jnp.asarray([-0.5]), key=key).reward) == 0


def test_the_memory_probe_shows_the_cue_once_and_asks_at_the_end() -> None:
    env = probe.ActOnMemory()
    state, observation = env.reset(key=jr.key(0))
    seen = [observation.tolist()]
    for _ in range(2):
        step = env.step(state, jnp.asarray(0), key=jr.key(0))
        state = step.state
        seen.append(step.observation.tolist())
    sign = float(state.sign)
    assert seen == [[sign, 0], [0, 0], [0, 1]]


@pytest.mark.parametrize("seed", range(6))
def test_the_masked_probe_pays_legal_actions_and_its_q_values_add_up(seed: int) -> None:
    env, key = probe.Masked(), jr.key(seed)
    state, observation = env.reset(key=key)
    mask = env.action_mask(state)
    assert observation.tolist() == [0]
    for action in range(4):
        step = env.step(state, jnp.asarray(action), key=key)
        assert np.array_equal(env.action_mask(step.state), ~mask)  # the other half is legal next
        if mask[action]:
            # Q = reward + 0.5 * best legal Q of the second step
            best = float(env.expected_q_values(step.state, DISCOUNT)[~mask].max())
            assert float(env.expected_q_values(state, DISCOUNT)[action]) == float(step.reward) + DISCOUNT * best
        else:
            assert float(step.reward) == -10
    assert np.array_equal(env.expected_q_values(state, DISCOUNT), [2.5, 1.5, 3.5, 0.5])
    assert bool(mask[env.expected_action(state)])


def test_the_mean_value_of_the_masked_probe_is_the_one_promised() -> None:
    returns = [sum(r * DISCOUNT**i for i, r in enumerate(play(probe.Masked(), jr.key(seed))[0])) for seed in range(12)]
    assert set(returns) == {1 + 3 * DISCOUNT, 3 + 1 * DISCOUNT}  # mean 2 + 2 * 0.5 = 3
    state, _ = probe.Masked().reset(key=jr.key(0))
    assert float(probe.Masked().expected_value(state, DISCOUNT)) == 3


def test_a_continuous_masked_probe_is_refused() -> None:
    with pytest.raises(ValueError, match="only choices can be masked"):
        probe.Masked(continuous=True)
