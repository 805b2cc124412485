"""Policies of ARS, which has no critic and no noise.

Source: sb3_contrib/ars/policies.py of 2.9. Before 1.7 a linear policy was `action_net.weight`, since then `action_net.0.weight`.
"""

import jax.numpy as jnp
import numpy as np

from perdure._core import FileFormatError, make
from perdure.policy import AbstractPolicy, CNNDeterministicPolicy, MLPDeterministicPolicy
from perdure.space import Box, Discrete

from .._layers import mlp
from ._actor_critic import fresh_critic, policy_on
from ._encoding import encode
from ._source import Source


def ars(source: Source, linear: bool) -> AbstractPolicy:
    """Squashed actions become a deterministic policy, all else an actor with a critic that knows nothing yet."""
    encoding = encode(source, "features_extractor.")
    space = source.action_space
    if not isinstance(space, Box | Discrete):
        raise FileFormatError(f"action_space is {space}, but ARS takes Box or Discrete ones.")
    old = "action_net.weight" in source.tensors
    layers = [source.tensors.layer("action_net")] if old else source.tensors.layers("action_net")
    source.check_outputs(layers, "action_net", space.flat_size)
    source.leave_out()
    layers[0] = encoding.after(layers[0])
    body = encoding.body(architecture={"activation": source.activation, "initialization": "uniform"})
    if isinstance(space, Box) and source.settings.get("squash_output", not linear):
        cls: type = MLPDeterministicPolicy if encoding.convolutions is None else CNNDeterministicPolicy
        fields = {
            "observation_space": encoding.observation_space,
            "action_space": space,
            "body": body,
            "network": mlp(layers, source.activation, jnp.tanh),
        }
        return make(cls, fields)
    source.notes.append("ARS has no critic and no noise of its own: the critic starts at zero, the spread at 1")
    log_std = np.zeros(space.flat_size, np.float32) if isinstance(space, Box) else None
    return policy_on(encoding, source, body, layers, fresh_critic(body.size), log_std)
