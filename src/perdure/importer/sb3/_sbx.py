"""Models of SBX: zips of Stable-Baselines3 whose weights are arrays of JAX inside one pickled field, `policy`.

The arrays get the names that Stable-Baselines3 gives to the same layers, so all else reads them as its models. Other than
there an observation goes into the network as it comes: pixels from 0 to 255, choices as one number.

Source: sbx 0.28, `common/policies.py`, `ppo/policies.py`, `sac/policies.py`, `tqc/policies.py`, `dqn/policies.py`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from perdure._core import FileFormatError
from perdure.network import Activation
from perdure.space import Box, MultiBinary

from .._pickle import Call, Global
from .._values import array_of, mapping_of, name_of
from ._data import Fields
from ._spaces import SavedSpace

_OF_NN = (
    *("relu", "relu6", "elu", "celu", "selu", "silu", "gelu", "sigmoid", "softplus", "soft_sign", "hard_tanh"),
    *("leaky_relu", "mish", "log_sigmoid"),
)
_FUNCTIONS: dict[str, Activation] = {
    "jax._src.numpy.ufuncs.tanh": jnp.tanh,
    **{f"jax._src.nn.functions.{name}": getattr(jax.nn, name) for name in _OF_NN},
}
_ACTORS = {
    *("sbx.ppo.policies.Actor", "sbx.common.policies.SquashedGaussianActor"),
    *("sbx.sac.policies.Actor", "sbx.tqc.policies.Actor", "NoneType"),  # older versions have one each, or none is named
}


class Weights(NamedTuple):
    tensors: dict[str, np.ndarray]  # under the names of Stable-Baselines3
    activation: Activation


_CODE_NAME = 11  # place of `co_name` among the arguments of `types.CodeType`, since Python 3.8


def _function_name(node: Any) -> str:
    """The dotted name of a function, which cloudpickle stores by value and JAX inside of `jax.jit` or `custom_jvp`."""
    if isinstance(node, Call) and name_of(node).startswith(("jax.", "jaxlib.")) and isinstance(node.state, dict):
        if isinstance(node.state.get("__qualname__"), str):
            return f"{node.state.get('__module__')}.{node.state['__qualname__']}"
        node = node.state.get("fun")
    if isinstance(node, Call) and name_of(node).endswith("._make_function") and len(node.arguments) >= 2:
        code, namespace = node.arguments[:2]
        if isinstance(code, Call) and len(code.arguments) > _CODE_NAME and isinstance(namespace, dict):
            return f"{namespace.get('__name__')}.{code.arguments[_CODE_NAME]}"
    return name_of(node)


def _activation(node: Any, usual: Activation, custom: Mapping[str, Any]) -> Activation:
    """Raises: FileFormatError naming a function that is not known, and how to map it."""
    if node is None:
        return usual
    path = _function_name(node)
    if callable(custom.get(path)):
        return custom[path]
    if path not in _FUNCTIONS:
        raise FileFormatError(
            f"policy.activation_fn: the activation {path[:120]!r} is not known. Map it to a function: "
            f"custom={{{path[:120]!r}: my_function}}."
        )
    return _FUNCTIONS[path]


def _array(node: Any) -> np.ndarray:
    """An array of JAX, which is pickled as numpy's and a call of JAX's around it, or one of numpy."""
    if isinstance(node, Call) and isinstance(node.function, Global) and node.function.name == "_reconstruct_array":
        if node.function.module.split(".")[0] != "jax" or len(node.arguments) < 3:
            raise FileFormatError(f"{name_of(node)[:120]!r} stands where an array should be.")
        function, arguments, state = node.arguments[:3]
        node = Call(function, arguments, state=state)
    return array_of(node)


def _parameters(state: dict[str, Any], name: str) -> dict[str, Any]:
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


def _dense_layers(
    layers: dict[str, Any], where: str, also: tuple[str, ...] = ()
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights (out, in) and biases of Dense_0, Dense_1, ...

    Raises: FileFormatError for any other layer.
    """
    names = [f"Dense_{i}" for i in range(len(layers) - len(also))]
    if unknown := sorted(set(layers) - {*names, *also}):
        raise FileFormatError(
            f"policy.{where} has the layer {unknown[0][:80]!r}, but only Dense ones are read: an MlpPolicy of PPO, SAC, TQC "
            "or DQN."
        )
    parts = [mapping_of(layers.get(name)) for name in names]
    return [(_array(part.get("kernel")).T, _array(part.get("bias"))) for part in parts]


def _named(names: list[str], layers: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    weights = {f"{name}.weight": weight for name, (weight, _) in zip(names, layers, strict=True)}
    return weights | {f"{name}.bias": bias for name, (_, bias) in zip(names, layers, strict=True)}


def _tower(prefix: str, count: int, *last: str) -> list[str]:
    """Names of `count` layers, of which the last ones have names of their own."""
    return [*(f"{prefix}.{2 * i}" for i in range(count - len(last))), *last]


def _on_policy(state: dict[str, Any]) -> dict[str, np.ndarray]:
    actor_layers = _parameters(state, "actor_state")
    also = ("log_std",) if "log_std" in actor_layers else ()
    actor, critic = (
        _dense_layers(actor_layers, "actor_state", also),
        _dense_layers(_parameters(state, "vf_state"), "vf_state"),
    )
    spread = {"log_std": _array(actor_layers["log_std"])} if also else {}
    return {
        **spread,
        **_named(_tower("mlp_extractor.policy_net", len(actor), "action_net"), actor),
        **_named(_tower("mlp_extractor.value_net", len(critic), "value_net"), critic),
    }


def _soft(state: dict[str, Any]) -> dict[str, np.ndarray]:
    layers = _dense_layers(_parameters(state, "actor_state"), "actor_state")
    return _named(_tower("actor.latent_pi", len(layers), "actor.mu", "actor.log_std"), layers)


def _q_network(state: dict[str, Any]) -> dict[str, np.ndarray]:
    layers = _dense_layers(_parameters(state, "qf_state"), "qf_state")
    return _named(_tower("q_net.q_net", len(layers)), layers)


_BY_MODULE = {
    "sbx.ppo.policies": (_on_policy, jnp.tanh),
    "sbx.sac.policies": (_soft, jax.nn.relu),
    "sbx.tqc.policies": (_soft, jax.nn.relu),
    "sbx.dqn.policies": (_q_network, jax.nn.relu),
}


def is_sbx(module: str) -> bool:
    return module in _BY_MODULE


def read_weights(module: str, path: str, fields: Fields, observation: SavedSpace, custom: Mapping[str, Any]) -> Weights:
    """Of the model with the policy class `path`, which is one of `module` or acts like it.

    Raises: FileFormatError for anything but dense layers, an unknown activation, or observations of choices.
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
    build, usual = _BY_MODULE[module]
    return Weights(build(state), _activation(state.get("activation_fn"), usual, custom))
