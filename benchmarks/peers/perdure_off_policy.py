"""Perdure's SAC on Pendulum-v1 or DQN on CartPole-v1: one step, one update; arguments: sac or dqn, width, capacity."""

import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
from _protocol import serve
from jax import random as jr

from perdure.algorithm import DQN, SAC
from perdure.algorithm._native import CHUNK, run_compiled
from perdure.env import make
from perdure.policy import MLPQPolicy, MLPSACPolicy

import_seconds = time.process_time()
name, width, capacity = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
algorithm_class, policy_class, task = {
    "sac": (SAC, MLPSACPolicy, "Pendulum-v1"),
    "dqn": (DQN, MLPQPolicy, "CartPole-v1"),
}[name]
one = {"num_envs": 1, "num_steps": 1, "num_updates": 1, "batch_size": 256}
algorithm = algorithm_class(**one, capacity=capacity, learning_starts=256)
env = make(task)
policy = policy_class(env, hidden_sizes=(width, width), activation=jax.nn.relu, key=jr.key(0))
state = algorithm.init(env, policy, key=jr.key(1))
calls = 8 if width < 128 else 2  # of `CHUNK` updates each
compiled = None


def compile_() -> None:
    global compiled
    jax.clear_caches()
    compiled = run_compiled.lower(algorithm, state, jnp.asarray(1), jnp.asarray(jnp.inf)).compile()


def run() -> int:
    global state
    for _ in range(calls):
        state, log = compiled(algorithm, state, jnp.asarray(CHUNK), jnp.asarray(jnp.inf))
    jax.block_until_ready(log)
    return calls * CHUNK


networks = [state.policy] + ([] if state.learner.critics is None else [state.learner.critics])
weights = sum(x.size for x in jax.tree.leaves(eqx.filter(networks, eqx.is_inexact_array)))
state = jax.tree.map(lambda x: x.copy() if eqx.is_array(x) else x, state)
serve({"import": import_seconds, "weights": weights}, compile_, run)
