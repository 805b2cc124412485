"""Every kind of policy that is exported to every target: those of Perdure, and some that users write or take whole."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from jax import random as jr

from perdure.policy import CNNActorCriticPolicy, MLPActorCriticPolicy
from perdure.space import Box, Discrete, MultiBinary
from tests.support.export.policies import POLICIES
from tests.support.policy_kinds import KINDS, MLP, VECTOR, Spaces, make

LARGE = "cnn actor-critic, Nature, 84 x 84 x 4"
EXPORTED: dict[str, Callable[[], Any]] = {kind: partial(make, kind) for kind in KINDS} | {
    "mlp actor-critic, MultiBinary": lambda: MLPActorCriticPolicy(
        Spaces(VECTOR, MultiBinary((3,))), **MLP, key=jr.key(2)
    ),
    LARGE: lambda: CNNActorCriticPolicy(Spaces(Box(0, 255, (84, 84, 4), np.uint8), Discrete(6)), key=jr.key(0)),
    "a class of one's own, attention": POLICIES["attention"],
    "a class of one's own, with a memory": POLICIES["recurrent"],
}


# What cannot be written, and why; the docs say what to write instead.
REFUSED = {
    ("a class of one's own, attention", "tflite-int8"): "Lt stands between two layers",
    ("a class of one's own, attention", "c-int8"): "Lt stands between two layers",
}


def settings_of(kind: str, policy: Any, most: int) -> dict[str, Any]:
    """How it is exported: with a mask if it has choices and looks at one, over so many observations as time allows."""
    is_masked = policy.action_space.mask_size > 0 and type(policy).__module__.startswith("perdure.")
    return {"action_mask": is_masked, "num_observations": min(most // 10, 200) if kind == LARGE else most}
