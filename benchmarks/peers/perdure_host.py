"""Perdure's SAC on one environment of Gymnasium; arguments: its name, width."""

import sys
import time

import equinox as eqx
import jax
from _protocol import serve
from jax import random as jr

from perdure.algorithm import SAC
from perdure.env.adapter import make_host
from perdure.policy import MLPSACPolicy

import_seconds = time.process_time()
env, width = make_host(sys.argv[1]), int(sys.argv[2])
algorithm = SAC(num_envs=1, num_steps=1, num_updates=1, batch_size=256, capacity=20_000, learning_starts=256)
policy = MLPSACPolicy(env, hidden_sizes=(width, width), activation=jax.nn.relu, key=jr.key(0))
state = algorithm.init(env, policy, key=jr.key(1))


def compile_() -> None:
    global state
    jax.clear_caches()
    state = algorithm.run(state, 4, env=env)


def run() -> int:
    global state
    state = algorithm.run(state, 256, env=env)
    return 256


weights = sum(x.size for x in jax.tree.leaves(eqx.filter([state.policy, state.learner.critics], eqx.is_inexact_array)))
serve({"import": import_seconds, "weights": weights}, compile_, run)
