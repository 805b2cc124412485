"""Schedules follow the environment steps up to 10^12 of them, and their end is told."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perdure.algorithm import DQN, PPO
from perdure.algorithm._buffer import Buffer
from perdure.algorithm._priorities import Priorities
from perdure.algorithm._schedule import MOST, falling, fraction_of
from tests.support.callbacks import ALGORITHM, begin

FAR = [(32, 2**31 - 1), (1024 * 4, 524_290), (2**19, 1_907_349), (1, MOST), (3, 715_827_883), (4096 * 16, 32_768)]


@pytest.mark.parametrize(("each", "iteration"), FAR)
@pytest.mark.parametrize("timesteps", [10_000, 10**9, 10**12])
def test_a_fraction_is_that_of_exact_integers(each, iteration, timesteps):
    found = fraction_of(timesteps, jnp.int32(iteration), steps_before=1000, steps_per_iteration=each)
    assert float(found) == pytest.approx((1000 + iteration * each) / timesteps, rel=3e-7)


@pytest.mark.parametrize(("before", "each"), [(0, 1), (0, 512), (1008, 16), (20, 65_536)])
def test_numbers_that_never_wrapped_keep_every_bit(before, each):
    last = (2**31 - 1 - before) // each
    iterations = jnp.asarray(np.unique(np.linspace(0, last, 20_001).astype(np.int32)))
    for timesteps in (1, 12_345, 10**6, 10**9):
        former = (before + iterations * each) / timesteps
        now = lambda i, t=timesteps: fraction_of(t, i, steps_before=before, steps_per_iteration=each)  # noqa: E731
        assert now(iterations).tobytes() == former.tobytes()
        assert (
            jax.jit(now)(iterations).tobytes()
            == jax.jit(lambda i, t=timesteps: (before + i * each) / t)(iterations).tobytes()
        )


def test_epsilon_clip_and_learning_rate_stay_at_their_ends():
    assert DQN(num_envs=1024, num_steps=4).epsilon(jnp.int32(524_290)) == pytest.approx(0.05)
    ppo = PPO(num_envs=4096, num_steps=16, anneal_timesteps=10**8, anneal_clip=True)
    assert ppo.clip_at(jnp.int32(32_778)) == 0.0
    assert ppo.clip_at(jnp.int32(10)) == pytest.approx(0.2 * (1 - 655_360 / 1e8), rel=1e-6)
    slow = PPO(num_envs=4, num_steps=32, anneal_timesteps=10**12, anneal_clip=True)
    assert slow.clip_at(jnp.int32(10**9)) == pytest.approx(0.2 * (1 - 0.128), rel=1e-5)
    half = falling(0.5, 4 * 10**9)(jnp.int32(2 * 10**9))  # 2 of 4 thousand million gradient steps
    assert half == pytest.approx(0.25)
    assert falling(0.5, 10)(jnp.int32(20)) == 0.0


def test_beta_of_prioritised_replay_stays_one():
    """beta = 1 - (1 - importance_exponent) * rest; products that wrapped made the rest grow again."""
    dqn = DQN(num_envs=1024, num_steps=4, priority_exponent=1.0, importance_timesteps=10**6)
    rest = 1 - dqn.fraction_of(dqn.importance_timesteps, jnp.int32(524_290))
    assert jnp.maximum(rest, 0.0) == 0.0


@pytest.mark.parametrize("written", [0, 1, 5, 11, 12, 13, 100])
def test_where_priorities_are_taken_in_depends_on_the_ring_alone(written):
    """4 blocks of 64 steps; 2^25 blocks and some are 2^31 steps and some."""

    def taken_in(blocks):
        buffer = Buffer(jnp.zeros((4, 64, 2)), jnp.int32(blocks))
        return Priorities.empty(buffer).extend(buffer, length=3).tree.levels[0]

    assert jnp.array_equal(taken_in(2**25 + 12 + written), taken_in(12 + written))


def test_past_the_end_of_a_schedule_there_is_one_warning_before_the_first_step():
    annealed = PPO(num_envs=2, num_steps=10, num_minibatches=1, num_epochs=1, anneal_timesteps=40)
    state = annealed.run(begin(algorithm=annealed), 40)  # no warning: warnings are errors here
    with pytest.raises(UserWarning, match=r"PPO\.anneal_timesteps=40, and this training goes on past that"):
        annealed.run(state, 20)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        annealed.run(state, 200)
    assert len(told) == 1


def test_a_rollout_that_is_cut_by_the_end_is_no_reason_to_warn():
    annealed = PPO(num_envs=2, num_steps=10, num_minibatches=1, num_epochs=1, anneal_timesteps=50)
    assert int(annealed.run(begin(algorithm=annealed), 50).iteration) == 3  # its third rollout begins at 40


def test_more_iterations_than_the_counter_holds_are_refused_before_the_first():
    with pytest.raises(ValueError, match=r"iterations are counted up to 2147483647. Make each longer"):
        ALGORITHM.run(begin(), 20 * 2**31)
