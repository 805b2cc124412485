"""The template of an importer: checkpoints of Wren, a library that does not exist.

    {"actor_state_dict": {...}, "iter": int, "optimizer_state_dict": {...}}

    obs_normalizer._mean, ._std   (obs - _mean) / (_std + 0.01), no clip
    mlp.0, mlp.2, ...             linear layers, an activation after each but the last, which gives means
    std                           deviations of the actions

The activation stands in no file, so it is asked for; the critic is not in the file.
"""

from pathlib import Path
from types import SimpleNamespace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import random as jr

from perdure.importer import (
    ImportedPolicy,
    Tensors,
    activation_named,
    fixed_normalizer,
    imported,
    importer,
    loader,
    mlp,
    naming,
    open_checkpoint,
)
from perdure.policy import MLPActorCriticPolicy
from perdure.space import Box

EPSILON = 0.01  # in the code of Wren


@importer(
    "wren", "a checkpoint of Wren", activation="what stands between its layers, which no file says: elu, tanh, ..."
)
def read_wren(path: str | Path, *, activation: str | None = None) -> ImportedPolicy:
    """The actor of a checkpoint of Wren.

    Raises: FileFormatError naming the file and what in it is unknown or damaged; ValueError without an activation.
    """
    if activation is None:
        raise ValueError(
            "activation= is missing: it stands in no file of Wren. Look for it in the training's settings."
        )
    function = activation_named(activation)
    with naming(path):
        tensors = Tensors(open_checkpoint(Path(path).read_bytes()).tensors("actor_state_dict"), "actor_state_dict")
        layers = tensors.layers("mlp")
        in_size, out_size = layers[0].weight.shape[1], len(layers[-1].bias)
        mean, deviation = (tensors.shaped(f"obs_normalizer.{name}", in_size) for name in ("_mean", "_std"))
        log_std = jnp.log(tensors.shaped("std", out_size))
        tensors.left_out(())
        network = mlp(layers, function)
    space = SimpleNamespace(
        observation_space=Box(-np.inf, np.inf, (in_size,)), action_space=Box(-np.inf, np.inf, (out_size,))
    )
    policy = MLPActorCriticPolicy(space, activation=function, normalize_observation=True, key=jr.key(0))
    constants = fixed_normalizer(mean.astype(float), deviation.astype(float) + EPSILON, np.full(in_size, np.inf))
    policy = eqx.tree_at(lambda p: (p.body.normalizer, p.actor, p.head.log_std), policy, (constants, network, log_std))
    return imported(
        policy,
        file=path,
        library="Wren",
        algorithm="PPO",
        source_class="wren.Actor",
        normalization=f"of the file, with {EPSILON} added to the deviation, as constants of the policy",
        dropped=["optimizer_state_dict"],
        notes=[f"the activation {activation} is as given, not read"],
    )


load_wren = loader(read_wren)
