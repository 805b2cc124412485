"""Policies of A2C, PPO, TRPO, MaskablePPO and RecurrentPPO as actor-critic policies of ours.

Source: stable_baselines3/common/policies.py, sb3_contrib/common/maskable and sb3_contrib/common/recurrent of 2.9.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from perdure._core import make
from perdure.network import MLP, AbstractCell, Parallel
from perdure.policy import (
    AbstractPolicy,
    ActionHead,
    Body,
    CNNActorCriticPolicy,
    Memory,
    MLPActorCriticPolicy,
    RecurrentActorCriticPolicy,
)
from perdure.space import Box, MultiBinary

from .._layers import mlp, recurrent_cell
from .._tensors import Layer
from ._encoding import Encoding, encode
from ._gsde import default_spread, gsde_log_std
from ._source import Source

EXTRACTORS = ("pi_features_extractor.", "features_extractor.", "vf_features_extractor.")
NO_CRITIC = "the critic, which ours cannot hold ({}); it starts at zero"


def fresh_critic(size: int) -> MLP:
    """A critic that values everything at zero."""
    return mlp([Layer(np.zeros((1, size), np.float32), np.zeros(1, np.float32))], jnp.tanh)


def _head(source: Source, log_std: np.ndarray | None) -> ActionHead:
    """The head for the action space, with the spread of the file."""
    is_box = isinstance(source.action_space, Box)
    head = ActionHead(source.action_space, squash=is_box and bool(source.settings.get("squash_output")))
    if log_std is None or head.log_std is None:
        return head
    return eqx.tree_at(lambda h: h.log_std, head, jnp.asarray(log_std))


def policy_on(
    encoding: Encoding, source: Source, body: Body, actor: list[Layer], critic: MLP, log_std: np.ndarray | None
) -> AbstractPolicy:
    """Of the class for what the body holds."""
    cls: type = CNNActorCriticPolicy if encoding.convolutions is not None else MLPActorCriticPolicy
    fields = {
        "observation_space": encoding.observation_space,
        "action_space": source.action_space,
        "body": body,
        "actor": mlp(actor, source.activation),
        "critic": critic,
        "head": _head(source, log_std),
        "gsde_interval": source.gsde_interval if isinstance(source.action_space, Box) else None,
    }
    return make(cls if body.cell is None else RecurrentActorCriticPolicy, fields)


def _action_layer(source: Source) -> Layer:
    """The last layer of the actor. MaskablePPO has two logits for a bit, ours the difference."""
    layer = source.tensors.layer("action_net")
    space = source.action_space
    if isinstance(space, MultiBinary) and len(layer.bias) == 2 * space.flat_size:
        return Layer(layer.weight[1::2] - layer.weight[::2], layer.bias[1::2] - layer.bias[::2])
    source.check_outputs([layer], "action_net", space.flat_size)
    return layer


class _Towers(NamedTuple):
    """The layers of a model, those that see the features rearranged for ours."""

    shared: list[Layer]
    actor: list[Layer]
    critic: list[Layer]


def _towers(source: Source, encoding: Encoding, features_enter: bool) -> _Towers:
    """`features_enter` is False where an LSTM stands between the features and these layers."""
    tensors = source.tensors
    shared = tensors.layers("mlp_extractor.shared_net")
    actor = [*tensors.layers("mlp_extractor.policy_net"), _action_layer(source)]
    critic = [*tensors.layers("mlp_extractor.value_net"), tensors.layer("value_net")]
    if features_enter:
        for tower in [shared] if shared else [actor, critic]:
            tower[0] = encoding.after(tower[0])
    return _Towers(shared, actor, critic)


def _log_std(source: Source, encoding: Encoding, hidden: list[Layer], features_enter: bool) -> np.ndarray | None:
    """The spread of a Box of actions, in the order of our features where gSDE sees them."""
    if not isinstance(source.action_space, Box):
        return None
    if not source.uses_sde:
        return source.tensors.take("log_std", 1)
    size = source.action_space.flat_size
    log_std = gsde_log_std(source.tensors, "log_std", size, bool(source.settings.get("use_expln")))
    num_features = len(hidden[-1].bias) if hidden else len(encoding.columns) if features_enter else len(log_std)
    if not hidden and features_enter:
        log_std = encoding.rows(log_std) if len(log_std) == int((encoding.columns >= 0).sum()) else log_std
    if len(log_std) != num_features:
        source.dropped.append("gSDE's spread, which is over features of its own (sde_net_arch)")
        source.tensors.below("sde_features_extractor.")
        return default_spread(num_features, size)
    return log_std


def _has_own_critic(source: Source, used: str) -> bool:
    """True if the critic sees features of its own weights."""
    tensors = source.tensors
    return tensors.has(EXTRACTORS[2]) and not tensors.same_below(used, EXTRACTORS[2])


def actor_critic(source: Source) -> AbstractPolicy:
    """A2C, PPO, TRPO, MaskablePPO: separate layers, or old models' shared ones before them."""
    used = EXTRACTORS[0] if source.tensors.has(EXTRACTORS[0]) else EXTRACTORS[1]
    encoding = encode(source, used)
    towers = _towers(source, encoding, True)
    hidden = (towers.shared + towers.actor)[:-1]
    log_std = _log_std(source, encoding, hidden, True)
    trunk = mlp(towers.shared, source.activation, source.activation) if towers.shared else None
    sizes = tuple(len(layer.bias) for layer in towers.shared)
    body = encoding.body(architecture={"trunk_sizes": sizes, "activation": source.activation}, trunk=trunk)
    if _has_own_critic(source, used):
        source.dropped.append(NO_CRITIC.format("it has a features extractor of its own"))
        critic = fresh_critic(body.size)
    else:
        critic = mlp(towers.critic, source.activation)
    source.tensors.left_out(tuple(prefix for prefix in EXTRACTORS if prefix != used))
    return policy_on(encoding, source, body, towers.actor, critic, log_std)


def _cell(source: Source, encoding: Encoding, used: str) -> tuple[AbstractCell, str | None]:
    """The memory, two side by side where the critic has one of its own; and why the critic cannot be held, if so."""
    tensors = source.tensors

    def cell(prefix: str) -> AbstractCell:
        weight = tensors.take(f"{prefix}.weight_ih_l0", 2)
        return recurrent_cell(tensors, prefix, encoding.after(Layer(weight, weight[:, 0])).weight)

    actor = cell("lstm_actor")
    if _has_own_critic(source, used):
        return actor, "it has a features extractor of its own"
    if tensors.has("lstm_critic."):
        return Parallel((actor, cell("lstm_critic"))), None
    return actor, "it has no memory, while the actor has one" if tensors.has("critic.") else None


def recurrent(source: Source) -> AbstractPolicy:
    """RecurrentPPO: LSTMs between the features and the layers of actor and critic."""
    used = EXTRACTORS[0] if source.tensors.has(EXTRACTORS[0]) else EXTRACTORS[1]
    encoding = encode(source, used)
    cell, lost_critic = _cell(source, encoding, used)
    count = 2 if isinstance(cell, Parallel) else 1
    size = cell.out_size // count
    towers = _towers(source, encoding, False)
    log_std = _log_std(source, encoding, towers.actor[:-1], False)
    architecture = {"activation": source.activation, "memory": Memory("lstm", size, count=count)}
    body = encoding.body(architecture=architecture, cell=cell)
    critic = mlp(towers.critic, source.activation)
    left_out = tuple(prefix for prefix in EXTRACTORS if prefix != used)
    if lost_critic is not None:
        source.dropped.append(NO_CRITIC.format(lost_critic))
        critic = fresh_critic(size)
        left_out = (*left_out, "critic.", "lstm_critic.")
    source.tensors.left_out(left_out)
    return policy_on(encoding, source, body, towers.actor, critic, log_std)
