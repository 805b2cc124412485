"""SBX's SAC on Pendulum-v1 or DQN on CartPole-v1, on Gymnasium's environments; arguments: sac or dqn, width, capacity."""

import sys
import time
from typing import Any

import flax.linen as nn
import jax
from _protocol import serve
from sbx import DQN, SAC

import_seconds = time.process_time()
name, width, capacity = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
updates = 512 if width < 128 else 128
policy_kwargs: dict[str, Any] = {"net_arch": [width, width]}
if name == "sac":
    policy_kwargs["activation_fn"] = nn.relu
settings = {"batch_size": 256, "buffer_size": capacity, "learning_starts": 256, "train_freq": 1, "gradient_steps": 1}
model: Any = {"sac": SAC, "dqn": DQN}[name](
    "MlpPolicy", "Pendulum-v1" if name == "sac" else "CartPole-v1", policy_kwargs=policy_kwargs, **settings
)


def compile_() -> None:
    jax.clear_caches()
    model.learn(260, reset_num_timesteps=True)


def run() -> int:
    model.learn(updates, reset_num_timesteps=False)
    return updates


states = (model.policy.actor_state, model.policy.qf_state) if name == "sac" else (model.policy.qf_state,)
weights = sum(x.size for state in states for x in jax.tree.leaves(state.params))
serve({"import": import_seconds, "weights": weights}, compile_, run)
