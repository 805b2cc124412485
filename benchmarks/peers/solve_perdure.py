"""From process start to a solved CartPole-v1 with Perdure; arguments: seed, then the folder of the compilation cache."""

import sys

import jax

jax.config.update("jax_compilation_cache_dir", sys.argv[2])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

import equinox as eqx  # noqa: E402
from jax import random as jr  # noqa: E402

from perdure.algorithm import PPO  # noqa: E402
from perdure.env import make  # noqa: E402
from perdure.evaluation import evaluate  # noqa: E402
from perdure.policy import MLPActorCriticPolicy  # noqa: E402

env, algorithm = make("CartPole-v1"), PPO(learning_rate=1e-3)
key_policy, key_learn, key_evaluate = jr.split(jr.key(int(sys.argv[1])), 3)
policy = eqx.filter_jit(lambda key: MLPActorCriticPolicy(env, key=key))(key_policy)
state, steps, mean = algorithm.init(env, policy, key=key_learn), 0, 0.0
while mean < 475:
    state = algorithm.run(state, 10_240)
    mean = evaluate(state.policy, env, num_episodes=20, key=key_evaluate).mean()
print(algorithm.steps_taken(state))
