"""Q-learning: the target network."""

from jax import random as jr

from tests.support.trainings import (
    CARTPOLE,
    bits,
    new_dqn,
)


def test_the_target_network_follows_at_its_interval():
    algorithm, policy = new_dqn(target_interval=8)  # four updates an iteration
    state = algorithm.init(CARTPOLE, policy, key=jr.key(0))
    one, two = algorithm.run(state, 6), algorithm.run(state, 12)
    assert bits(one.learner.target) == bits(state.learner.target)
    assert bits(two.learner.target.network) == bits(two.policy.network)
