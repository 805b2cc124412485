"""SBX's SAC on one environment of Gymnasium; arguments: its name, width."""

import sys
import time
from typing import Any

import flax.linen as nn
import jax
from _protocol import serve
from sbx import SAC

import_seconds = time.process_time()
settings = {"batch_size": 256, "buffer_size": 20_000, "learning_starts": 256, "train_freq": 1, "gradient_steps": 1}
width = int(sys.argv[2])
policy_kwargs = {"net_arch": [width, width], "activation_fn": nn.relu}
model: Any = SAC("MlpPolicy", sys.argv[1], policy_kwargs=policy_kwargs, **settings)


def compile_() -> None:
    jax.clear_caches()
    model.learn(260, reset_num_timesteps=True)


def run() -> int:
    model.learn(256, reset_num_timesteps=False)
    return 256


states = (model.policy.actor_state, model.policy.qf_state)
weights = sum(x.size for state in states for x in jax.tree.leaves(state.params))
serve({"import": import_seconds, "weights": weights}, compile_, run)
