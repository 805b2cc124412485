"""What a policy answers to a thousand observations; run as a program, it loads the policy from its file first.

python -m perdure.cli._answers policy.safetensors
"""

import json
import sys

import equinox as eqx
import jax
from jax import random as jr

from perdure._core import Action
from perdure.checkpoint import load_policy
from perdure.policy import AbstractPolicy

from ._cache import use_compilation_cache


@eqx.filter_jit
def answers(policy: AbstractPolicy) -> jax.Array:
    """The deterministic actions for 1,000 samples of the observation space, the same ones every time."""

    def answer(key: jax.Array) -> Action:
        return policy(policy.reset(key=key), policy.observation_space.sample(key=key))[1]

    return jax.vmap(answer)(jr.split(jr.key(0), 1000))


if __name__ == "__main__":
    use_compilation_cache(True)
    print(json.dumps(answers(load_policy(sys.argv[1])).tolist()))
