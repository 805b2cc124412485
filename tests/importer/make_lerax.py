"""Writes `files/lerax_*.eqx` with the real Lerax, and beside each what it answers: `python make_lerax.py`, with lerax 0.0.5.

Lerax needs Python 3.13; 0.0.5 is the newest on PyPI, and has these two policies.
"""

from pathlib import Path

import jax
import numpy as np
from jax import random as jr
from lerax.env.classic_control import CartPole, Pendulum
from lerax.policy import MLPActorCriticPolicy, MLPQPolicy

FILES = Path(__file__).parent / "files"
SMALL = {"feature_size": 5, "feature_width": 6, "value_width": 7, "action_width": 8}
POLICIES = {
    "actor_critic": (MLPActorCriticPolicy, CartPole, SMALL | {"feature_depth": 1, "value_depth": 3, "action_depth": 3}),
    "defaults": (MLPActorCriticPolicy, Pendulum, {}),
    "linear": (MLPActorCriticPolicy, Pendulum, SMALL | {"feature_depth": 0, "value_depth": 0, "action_depth": 0}),
    "q": (MLPQPolicy, CartPole, {"epsilon": 0.25, "width_size": 9, "depth": 3}),
}


def main():
    FILES.mkdir(exist_ok=True)
    for name, (cls, env, settings) in POLICIES.items():
        policy = cls(env=env(), key=jr.key(1), **settings)
        policy.serialize(FILES / f"lerax_{name}.eqx")
        size = policy.observation_space.flat_size
        observations = np.random.default_rng(0).normal(size=(12, size)).astype(np.float32) * 3
        arrays = {"observation": observations}
        _, arrays["action"] = jax.vmap(lambda x, p=policy: p(None, x))(observations)
        if cls is MLPActorCriticPolicy:
            _, arrays["value"] = jax.vmap(lambda x, p=policy: p.value(None, x))(observations)
        else:
            _, arrays["value"] = jax.vmap(lambda x, p=policy: p.q_values(None, x))(observations)
        np.savez(FILES / f"lerax_{name}.npz", **arrays)
    jax.effects_barrier()


if __name__ == "__main__":
    main()
