"""Soft actor-critics: the temperature, and the actions that each is for."""

import jax.numpy as jnp
import pytest
from jax import random as jr

from perdure.algorithm import SAC, TQC
from perdure.policy import (
    MLPSACPolicy,
)
from tests.support.trainings import CARTPOLE, OFF_POLICY, PENDULUM, new


def test_the_temperature_rises_where_the_policy_is_not_random_enough():
    algorithm, policy = new(SAC, MLPSACPolicy, PENDULUM, **OFF_POLICY)
    state = algorithm.init(PENDULUM, policy, key=jr.key(0))
    batch = algorithm.draw(state, None, key=jr.key(1))[1]
    for entropy, rises in ((-1.5, True), (-0.5, False)):  # the target is minus the number of action entries: -1
        log_temperature, _ = algorithm.temperature_step(state.learner, batch, jnp.full(batch.reward.shape, entropy))
        assert (log_temperature > 0) == rises


@pytest.mark.parametrize("algorithm", [SAC(), TQC()])
def test_soft_actors_of_choices_are_for_discrete_sac(algorithm):
    with pytest.raises(TypeError, match=r"action_space is Discrete.* needs a Box. Use DiscreteSAC"):
        algorithm.init(CARTPOLE, MLPSACPolicy(CARTPOLE, key=jr.key(0)), key=jr.key(0))
