"""The `noise` input of an export that samples: the caller draws, the exported policy turns the draw into an action.

So the file needs no random generator, the same noise gives the same action in every target, and the caller owns seeds.

| policy | noise | shape |
|---|---|---|
| Discrete, MultiDiscrete | uniform | one number a choice |
| MultiBinary | uniform | two numbers a bit |
| Box | normal | one number an entry |
| Box with gSDE | normal | features x entries; one draw is held for `hold_steps` steps |
| Q policy, epsilon-greedy | uniform | one number that decides whether to explore, then one a choice |

Uniform noise is clipped to the open interval (0, 1): a generator may give 0, and one rounded to float32 may give 1, and
either would stand for a choice of infinite weight. NaN stays NaN, so the guard rings.
"""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr

LEAST, MOST = float(np.finfo(np.float32).tiny), 1 - 2**-24  # the float32 next to 0 (normal) and next to 1


@dataclasses.dataclass(frozen=True)
class Noise:
    """What the caller draws for one action, or for `hold_steps` actions one after the other."""

    distribution: Literal["uniform", "normal"]
    shape: tuple[int, ...]
    hold_steps: int = 1

    @property
    def about(self) -> str:
        """In words, for the reader of an exported file."""
        what = "uniform in (0, 1)" if self.distribution == "uniform" else "standard normal"
        return what + (f", one draw for {self.hold_steps} steps" if self.hold_steps > 1 else "")

    def inside(self, value: Any) -> Any:
        return jnp.clip(value, LEAST, MOST) if self.distribution == "uniform" else value

    def sample(self, count: int, random: np.random.Generator) -> np.ndarray:
        """Noise for `count` actions, as a caller draws it."""
        draw = random.random if self.distribution == "uniform" else random.standard_normal
        return draw((count, *self.shape), np.float32)

    def extremes(self, random: np.random.Generator) -> list[np.ndarray]:
        """All numbers the least, the middle, the largest there are; and mixtures of these."""
        if self.distribution == "uniform":
            ends = (0.0, LEAST, 2**-24, 0.5, MOST, 1.0)
        else:
            ends = (0.0, -1e-40, 6.0, -6.0, 1e3, -1e3)
        mixed = [random.choice(ends, self.shape) for _ in range(8)]
        return [x.astype(np.float32) for x in (*(np.full(self.shape, end) for end in ends), *mixed)]


def noise_of(policy: Any) -> Noise:
    """Raises: ValueError for a policy that samples nothing."""
    kind = type(policy).__name__
    if not hasattr(policy, "act_from_noise"):
        raise ValueError(
            f"deterministic=False, but {kind} gives one action an observation: there is nothing to sample. "
            "Export with deterministic=True, and add exploration noise to the action yourself."
        )
    if getattr(policy, "epsilon", None) == 0:
        raise ValueError(
            f"deterministic=False, but {kind}.epsilon = 0, so it never explores. Export with deterministic=True."
        )
    shape = jax.eval_shape(lambda key: policy.noise(key=key), jr.key(0)).shape
    return Noise(policy.noise_kind, tuple(shape), getattr(policy, "gsde_interval", None) or 1)
