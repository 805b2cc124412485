"""rejax's SAC on gymnax's Pendulum-v1 or DQN on its CartPole-v1; arguments: sac or dqn, width, capacity.

rejax takes the width of SAC from `hidden_layer_sizes` beside `agent_kwargs`, not inside, and DQN's is always 64.
"""

import sys
import time

import jax
from _protocol import serve
from rejax import DQN, SAC

import_seconds = time.process_time()
name, width, capacity = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
updates = 2048 if width < 128 else 512
settings = {
    "env": "Pendulum-v1" if name == "sac" else "CartPole-v1",
    "agent_kwargs": {"activation": "relu"},
    "num_envs": 1,
    "num_epochs": 1,
    "buffer_size": capacity,
    "fill_buffer": 256,
    "batch_size": 256,
    "total_timesteps": 256 + updates,
    "eval_freq": 256 + updates,
    "skip_initial_evaluation": True,
}
if name == "sac":
    settings["hidden_layer_sizes"] = (width, width)
kind = {"sac": SAC, "dqn": DQN}[name]
algorithm = kind.create(**settings).replace(eval_callback=lambda *arguments: ())
compiled = None


def compile_() -> None:
    global compiled
    jax.clear_caches()
    compiled = jax.jit(kind.train).lower(algorithm, jax.random.PRNGKey(0)).compile()


def run() -> int:
    jax.block_until_ready(compiled(algorithm, jax.random.PRNGKey(0)))
    return updates


state = jax.eval_shape(algorithm.init_state, jax.random.PRNGKey(0))
networks = (state.actor_ts, state.critic_ts) if name == "sac" else (state.q_ts,)
weights = sum(x.size for ts in networks for x in jax.tree.leaves(ts.params))
serve({"import": import_seconds, "weights": weights}, compile_, run)
