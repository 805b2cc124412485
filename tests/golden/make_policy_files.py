"""Makes the frozen files of this folder. Run it once for each new format number, never to mend a failing test.

    python tests/golden/make_policy_files.py

Later versions of Perdure, and other versions of Python, must read these files and compute this fingerprint.
"""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from perdure.checkpoint import save_policy
from perdure.space import Box, Dict, Discrete
from perdure.utils import Serializable, register


@register(name="golden.Layer")
class GoldenLayer(eqx.Module):
    weight: jax.Array
    gain: float = eqx.field(static=True)


@register(name="golden.Policy")
class GoldenPolicy(Serializable):
    layers: tuple[GoldenLayer, ...]
    activation: Any
    space: Dict = eqx.field(static=True)
    key: jax.Array
    half: jax.Array
    table: dict[str, np.ndarray]
    epsilon: float

    def __init__(self) -> None:
        self.layers = tuple(GoldenLayer(jnp.arange(4.0).reshape(2, 2) + i, 0.1 * i - 0.0) for i in range(2))
        self.activation = jnp.tanh
        self.space = Dict(arm=Box([-1.0, -np.inf], [0.1, np.inf]), mode=Discrete(3, start=1))
        self.key = jax.random.key(7)
        self.half = jnp.array([1.5, -2.0], jnp.bfloat16)
        self.table = {"café": np.array([True, False]), "a.b": np.arange(3, dtype=np.int64)}
        self.epsilon = 0.1


if __name__ == "__main__":
    folder = Path(__file__).parent
    GoldenPolicy().serialize(folder / "policy_format_1.eqx")
    save_policy(folder / "policy_format_1", GoldenPolicy(), metadata={"note": "frozen"})
