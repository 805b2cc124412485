"""Perdure's PPO on CartPole-v1: 4 environments x 128 steps, 4 epochs, 4 minibatches, 64x64 tanh, apart."""

import time

import equinox as eqx
import jax
import jax.numpy as jnp
from _protocol import serve
from jax import random as jr

from perdure.algorithm import PPO
from perdure.algorithm._native import CHUNK, run_compiled
from perdure.env import make
from perdure.policy import MLPActorCriticPolicy

import_seconds = time.process_time()
env = make("CartPole-v1")
algorithm = PPO(learning_rate=2.5e-4, num_envs=4, num_steps=128, num_epochs=4, num_minibatches=4)
policy = MLPActorCriticPolicy(env, hidden_sizes=(64, 64), activation=jnp.tanh, key=jr.key(0))
state = algorithm.init(env, policy, key=jr.key(1))
compiled = None


def compile_() -> None:
    global compiled
    jax.clear_caches()
    compiled = run_compiled.lower(algorithm, state, jnp.asarray(1), jnp.asarray(jnp.inf)).compile()


def run() -> int:
    global state
    state = jax.tree.map(lambda x: x.copy() if eqx.is_array(x) else x, state)
    state, log = compiled(algorithm, state, jnp.asarray(CHUNK), jnp.asarray(jnp.inf))
    jax.block_until_ready(log)
    return CHUNK * algorithm.steps_per_iteration


weights = sum(x.size for x in jax.tree.leaves(eqx.filter(policy, eqx.is_array)))
serve({"import": import_seconds, "weights": weights}, compile_, run)
