"""Models of SBX: zips of Stable-Baselines3 whose weights are arrays of JAX inside one pickled field, `policy`.

The arrays get the names that Stable-Baselines3 gives to the same layers, so all else reads them as its models. Other than
there an observation goes into the network as it comes: pixels from 0 to 255, choices as one number.

Source: sbx 0.28, `common/policies.py`, `ppo/policies.py`, `sac/policies.py`, `tqc/policies.py`, `dqn/policies.py`.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from perdure._core import FileFormatError
from perdure.space import Box, MultiBinary

from .._pickle import Call, Node
from .._tensors import Layer
from .._values import array_of, mapping_of, name_of
from ._data import Fields
from ._spaces import SavedSpace

_ACTORS = {
    *("sbx.ppo.policies.Actor", "sbx.common.policies.SquashedGaussianActor"),
    *("sbx.sac.policies.Actor", "sbx.tqc.policies.Actor", "NoneType"),  # older versions have one each, or none is named
}


class Weights(NamedTuple):
    tensors: dict[str, np.ndarray]  # under the names of Stable-Baselines3
    activation: Node  # None for the usual one


def _parameters(state: Mapping[str, Node], name: str) -> dict[str, Node]:
    """The layers of a network by name, of a `TrainState`."""
    node = mapping_of(getattr(state.get(name), "state", None)).get("params")
    for _ in range(2):  # {"params": {layer: ...}}; older versions of Flax wrap each dict in a FrozenDict
        if isinstance(node, Call) and name_of(node).endswith("FrozenDict") and node.arguments:
            node = node.arguments[0]
        node = mapping_of(node)
        if set(node) != {"params"}:
            break
        node = node["params"]
    return mapping_of(node)


def _dense_layers(state: Mapping[str, Node], name: str, also: tuple[str, ...] = ()) -> list[Layer]:
    """Dense_0, Dense_1, ... of a network, which may hold `also` parameters of these names.

    Raises: FileFormatError for any other layer.
    """
    layers = _parameters(state, name)
    names = [f"Dense_{i}" for i in range(len(layers.keys() - set(also)))]
    if unknown := sorted(set(layers) - {*names, *also}):
        raise FileFormatError(
            f"policy.{name} has the layer {unknown[0][:80]!r}, but only Dense ones are read: an MlpPolicy of PPO, SAC, TQC "
            "or DQN."
        )
    parts = [mapping_of(layers.get(layer)) for layer in names]
    return [Layer(array_of(part.get("kernel")).T, array_of(part.get("bias"))) for part in parts]


def _tower(layers: list[Layer], prefix: str, *last: str) -> dict[str, np.ndarray]:
    """The tensors of a Sequential of layers and activations, of which the last layers have names of their own."""
    names = [*(f"{prefix}.{2 * i}" for i in range(len(layers) - len(last))), *last]
    weights = {f"{name}.weight": layer.weight for name, layer in zip(names, layers, strict=True)}
    return weights | {f"{name}.bias": layer.bias for name, layer in zip(names, layers, strict=True)}


def _on_policy(state: Mapping[str, Node]) -> dict[str, np.ndarray]:
    log_std = _parameters(state, "actor_state").get("log_std")
    return {
        **({} if log_std is None else {"log_std": array_of(log_std)}),
        **_tower(_dense_layers(state, "actor_state", ("log_std",)), "mlp_extractor.policy_net", "action_net"),
        **_tower(_dense_layers(state, "vf_state"), "mlp_extractor.value_net", "value_net"),
    }


def _soft(state: Mapping[str, Node]) -> dict[str, np.ndarray]:
    return _tower(_dense_layers(state, "actor_state"), "actor.latent_pi", "actor.mu", "actor.log_std")


def _q_network(state: Mapping[str, Node]) -> dict[str, np.ndarray]:
    return _tower(_dense_layers(state, "qf_state"), "q_net.q_net")


_BY_MODULE = {
    "sbx.ppo.policies": _on_policy,
    "sbx.sac.policies": _soft,
    "sbx.tqc.policies": _soft,
    "sbx.dqn.policies": _q_network,
}


def is_sbx(module: str) -> bool:
    return module in _BY_MODULE


def read_weights(module: str, path: str, fields: Fields, observation: SavedSpace) -> Weights:
    """Of the model with the policy class `path`, which is one of `module` or acts like it.

    Raises: FileFormatError for anything but dense layers, or observations of choices.
    """
    for name, space in observation.parts:
        if not isinstance(space, Box | MultiBinary):
            raise FileFormatError(
                f"the observation{f' {name!r}' if name else ''} is {space}, which SBX takes as a plain number; "
                "only Box and MultiBinary are read."
            )
    node = fields.get("policy")
    if not isinstance(node, Call) or name_of(node) != path:
        raise FileFormatError(f"data: policy is a {name_of(node)[:120]!r}, but policy_class is {path}.")
    state = mapping_of(node.state)
    actor = name_of(state.get("actor_class"))
    if actor not in _ACTORS:
        raise FileFormatError(f"data: policy.actor_class is {actor[:120]!r}, which is not known.")
    return Weights(_BY_MODULE[module](state), state.get("activation_fn"))
