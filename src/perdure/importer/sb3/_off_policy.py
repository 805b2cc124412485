"""Policies of DQN, QR-DQN, DDPG, TD3, SAC, TQC and CrossQ as policies of ours. Their critics and targets stay behind.

Source: the `policies.py` of each in stable_baselines3 and sb3_contrib 2.9; CrossQ: sb3_contrib/common/torch_layers.py.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from perdure._core import FileFormatError, make
from perdure.network import MLP, Activation, Bounded
from perdure.policy import (
    AbstractPolicy,
    CNNDeterministicPolicy,
    CNNQPolicy,
    CNNQuantileQPolicy,
    CNNSACPolicy,
    MLPDeterministicPolicy,
    MLPQPolicy,
    MLPQuantileQPolicy,
    MLPSACPolicy,
)
from perdure.space import Box, Discrete

from .._layers import mlp, permuted, stacked
from .._tensors import Layer
from .._values import number_of
from ._batch_norm import BatchNorm, normalized_layers
from ._encoding import Encoding, encode
from ._gsde import default_spread, gsde_log_std
from ._source import Source

_CLIP_MEAN = 2.0  # default of SAC, TQC and CrossQ with gSDE


def _build(
    classes: tuple[type, type], encoding: Encoding, source: Source, network: MLP, **fields: Any
) -> AbstractPolicy:
    """A policy of the first class, or of the second where there are convolutions."""
    body = encoding.body(architecture={"activation": source.activation, "initialization": "uniform"})
    common = {
        "observation_space": encoding.observation_space,
        "action_space": source.action_space,
        "body": body,
        "network": network,
    }
    return make(classes[encoding.convolutions is not None], {**common, **fields})


def _network(source: Source, encoding: Encoding, layers: list[Layer], final: Activation = jax.nn.identity) -> MLP:
    return mlp([encoding.after(layers[0]), *layers[1:]], source.activation, final)


def _epsilon(source: Source) -> float:
    """The exploration that the training ended with."""
    epsilon = source.fields.get("exploration_final_eps", source.fields.get("exploration_rate"))
    return min(max(float(epsilon), 0.0), 1.0) if isinstance(epsilon, int | float) else 0.05


def _choices(source: Source) -> Discrete:
    if not isinstance(source.action_space, Discrete):
        raise FileFormatError(f"action_space is {source.action_space}, but {source.algorithm} takes Discrete ones.")
    return source.action_space


def _box(source: Source) -> Box:
    space = source.action_space
    if not isinstance(space, Box) or not space.is_bounded:
        raise FileFormatError(f"action_space is {space}, but {source.algorithm} takes a Box with finite bounds.")
    return space


def dqn(source: Source) -> AbstractPolicy:
    encoding = encode(source, "q_net.features_extractor.")
    layers = source.tensors.layers("q_net.q_net")
    source.check_outputs(layers, "q_net", _choices(source).n)
    source.leave_out("q_net_target.")
    network = _network(source, encoding, layers)
    return _build((MLPQPolicy, CNNQPolicy), encoding, source, network, epsilon=_epsilon(source), state_value=None)


def qrdqn(source: Source) -> AbstractPolicy:
    """The file has all actions of the first quantile, then of the second; ours all quantiles of the first action."""
    encoding = encode(source, "quantile_net.features_extractor.")
    layers = source.tensors.layers("quantile_net.quantile_net")
    actions = _choices(source).n
    quantiles, rest = divmod(len(layers[-1].bias) if layers else 0, actions)
    stated = source.settings.get("n_quantiles", source.fields.get("n_quantiles"))
    if rest or not quantiles or (isinstance(stated, int) and stated != quantiles):
        raise FileFormatError(
            f"policy.pth: quantile_net gives {quantiles * actions + rest} numbers for {actions} actions and "
            f"{stated} quantiles."
        )
    layers[-1] = permuted(layers[-1], np.arange(quantiles * actions).reshape(quantiles, actions).T.ravel())
    source.leave_out("quantile_net_target.")
    network = _network(source, encoding, layers)
    classes = (MLPQuantileQPolicy, CNNQuantileQPolicy)
    return _build(classes, encoding, source, network, epsilon=_epsilon(source), state_value=None)


_CRITICS = ("critic.", "critic_target.", "actor_target.", "vf_features_extractor.")


def deterministic(source: Source) -> AbstractPolicy:
    """TD3 and DDPG: tanh, then onto the bounds."""
    encoding = encode(source, "actor.features_extractor.")
    layers = source.tensors.layers("actor.mu")
    source.check_outputs(layers, "actor.mu", _box(source).flat_size)
    source.leave_out(*_CRITICS)
    network = _network(source, encoding, layers, jnp.tanh)
    return _build((MLPDeterministicPolicy, CNNDeterministicPolicy), encoding, source, network)


def soft(source: Source) -> AbstractPolicy:
    """SAC and TQC: tanh of a normal; with gSDE the mean is clipped before."""
    encoding = encode(source, "actor.features_extractor.")
    return _soft(source, encoding, source.tensors.layers("actor.latent_pi"), None)


def cross_q(source: Source) -> AbstractPolicy:
    """CrossQ: like SAC, with normalised layers."""
    encoding = encode(source, "actor.features_extractor.")
    epsilon = float(number_of(source.settings.get("batch_norm_eps", 0.001)))
    layers, norms = normalized_layers(source.tensors, "actor.latent_pi", epsilon)
    if norms and layers and encoding.normalizer is None and not encoding.cnns and encoding.custom is None:
        encoding = encoding.normalized(norms[0].mean, norms[0].deviation)
        norms[0] = norms[0].without_statistics()
    folded = [norm.fold(layer) for norm, layer in zip(norms, layers, strict=False)] if norms else layers
    return _soft(source, encoding, folded, norms[-1] if norms else None)


def _soft(source: Source, encoding: Encoding, hidden: list[Layer], norm: BatchNorm | None) -> AbstractPolicy:
    """`norm` stands between the last hidden layer and the outputs."""
    tensors, space = source.tensors, _box(source)

    def output(name: str) -> Layer:
        layer = tensors.layer(name)
        return layer if norm is None else norm.fold(layer)

    is_gsde = "actor.log_std" in tensors
    is_clipped = "actor.mu.0.weight" in tensors
    means = output("actor.mu.0" if is_clipped else "actor.mu")
    source.check_outputs([means], "actor.mu", space.flat_size)
    log_std = None
    final: Activation = jax.nn.identity
    if is_gsde:
        outputs = means
        spread = gsde_log_std(tensors, "actor.log_std", space.flat_size, bool(source.settings.get("use_expln")))
        log_std = jnp.asarray(_spread_on(source, encoding, hidden, spread, space.flat_size))
        limit = source.settings.get("clip_mean", _CLIP_MEAN)
        if is_clipped and isinstance(limit, int | float):
            final = Bounded(-float(limit), float(limit))
    else:
        outputs = stacked(means, output("actor.log_std"))
    source.leave_out(*_CRITICS, "actor.sde_features_extractor.")
    network = _network(source, encoding, [*hidden, outputs], final)
    interval = source.gsde_interval or 1
    return _build(
        (MLPSACPolicy, CNNSACPolicy),
        encoding,
        source,
        network,
        log_std=log_std,
        gsde_interval=interval if is_gsde else None,
    )


def _spread_on(
    source: Source, encoding: Encoding, hidden: list[Layer], log_std: np.ndarray, num_actions: int
) -> np.ndarray:
    """gSDE's spread over what our last layer sees; a default one where the file's is over other features."""
    num_features = len(hidden[-1].bias) if hidden else len(encoding.columns)
    if source.tensors.has("actor.sde_features_extractor.") or len(log_std) not in (num_features, len(encoding.columns)):
        source.dropped.append("gSDE's spread, which is over features of its own (sde_net_arch)")
        return default_spread(num_features, num_actions)
    return log_std if hidden else encoding.rows(log_std)
