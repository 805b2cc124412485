"""Makes `tanh_spread.safetensors`, a soft actor as the importer of Lerax makes them. Run it once.

python -m tests.golden.make_tanh_spread
"""

from pathlib import Path

import jax
import jax.numpy as jnp
from jax import random as jr

from perdure.checkpoint import save_policy
from perdure.network import MLP, TanhSpread
from perdure.policy import MLPSACPolicy, SACPolicy
from tests.golden.make_first_version import Spaces, unlike_zero

FILE = Path(__file__).parent / "tanh_spread.safetensors"

if __name__ == "__main__":
    policy = MLPSACPolicy(Spaces("vector", "force"), hidden_sizes=(3,), key=jr.key(0))
    network = MLP.of(policy.network.layers, policy.network.activation, TanhSpread(-4.0, 1.5))
    policy = jax.tree.map(unlike_zero, SACPolicy.of(policy.body, network, policy.action_space))
    save_policy(FILE, policy)
    _, distribution = policy.evaluate(None, jnp.full(policy.observation_space.shape, 0.5))
    print(distribution.mean.tolist(), distribution.log_std.tolist())
