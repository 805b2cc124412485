"""Makes the frozen checkpoint of this folder. Run it once for each new format number, never to mend a failing test.

    python tests/golden/make_checkpoint.py

Later versions of Perdure, and other versions of Python, must load it and find these Q values.
"""

import json
from pathlib import Path

import jax.numpy as jnp
from jax import random as jr

from perdure.algorithm import DQN
from perdure.checkpoint import save
from perdure.env.classic_control import CartPole
from perdure.policy import MLPQPolicy

FOLDER = Path(__file__).parent / "checkpoint_format_1"
OBSERVATION = [0.01, -0.2, 0.03, 0.4]

if __name__ == "__main__":
    env = CartPole()
    algorithm = DQN(num_envs=2, num_steps=2, batch_size=4, capacity=16, learning_starts=8, n_step=2)
    policy = MLPQPolicy(env, hidden_sizes=(4,), normalize_observation=True, key=jr.key(0))
    state = algorithm.run(algorithm.init(env, policy, key=jr.key(1)), 8 * algorithm.steps_per_iteration)
    q_values = state.policy.q_values(None, jnp.array(OBSERVATION))[1].tolist()
    save(FOLDER, algorithm, state, buffer=True, metadata={"q_values": q_values, "note": "frozen"})
    print(json.dumps(q_values))
