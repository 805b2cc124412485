"""Activations: the classes of torch.nn, which models name, to functions."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from perdure._core import FileFormatError, lookup
from perdure.network import Activation, Bounded, Celu, Elu, HardShrink, LeakyRelu, SoftShrink, tanh_shrink

from .._pickle import Call, Global
from .._values import mapping_of, name_of, number_of

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "CELU": jax.nn.celu,
    "ELU": jax.nn.elu,
    "GELU": lookup("gelu_exact", "function"),
    "Hardshrink": HardShrink(),
    "Hardsigmoid": jax.nn.hard_sigmoid,
    "Hardswish": jax.nn.hard_swish,
    "Hardtanh": Bounded(),
    "Identity": jax.nn.identity,
    "LeakyReLU": jax.nn.leaky_relu,
    "LogSigmoid": jax.nn.log_sigmoid,
    "Mish": jax.nn.mish,
    "ReLU": jax.nn.relu,
    "ReLU6": jax.nn.relu6,
    "SELU": jax.nn.selu,
    "SiLU": jax.nn.silu,
    "Sigmoid": jax.nn.sigmoid,
    "Softplus": jax.nn.softplus,
    "Softshrink": SoftShrink(),
    "Softsign": jax.nn.soft_sign,
    "Tanh": jnp.tanh,
    "Tanhshrink": tanh_shrink,
}
_RECORDS: dict[str, tuple[Callable[..., Activation], dict[str, str]]] = {  # with PyTorch's name of a number -> ours
    "CELU": (Celu, {"alpha": "alpha"}),
    "ELU": (Elu, {"alpha": "alpha"}),
    "Hardshrink": (HardShrink, {"lambd": "limit"}),
    "Hardtanh": (Bounded, {"min_val": "low", "max_val": "high"}),
    "LeakyReLU": (LeakyRelu, {"negative_slope": "slope"}),
    "Softshrink": (SoftShrink, {"lambd": "limit"}),
}


def _torch_name(path: str) -> str | None:
    package, _, name = path.rpartition(".")
    return name if package == "torch.nn" or package.startswith("torch.nn.modules.") else None


def _unwrapped(node: Any) -> tuple[Any, dict[str, Any]]:
    """A class, and the keywords that `functools.partial` gives it."""
    if isinstance(node, Call) and node.function == Global("functools", "partial") and isinstance(node.state, tuple):
        function, positional, keywords = (*node.state, None, None)[:3]
        if not positional:
            return function, mapping_of(keywords or {})
    return node, {}


def activation_of(node: Any, custom: Mapping[str, Any]) -> Activation:
    """The function that a class of torch.nn, or a partial of one, stands for.

    Raises: FileFormatError naming what is unknown, and how to map it.
    """
    node, keywords = _unwrapped(node)
    path = name_of(node)
    if callable(custom.get(path)):
        return custom[path]
    name = _torch_name(path)
    if name not in _FUNCTIONS or not isinstance(node, Global):
        raise FileFormatError(
            f"the activation {path[:120]!r} is not known. Known from torch.nn: {', '.join(_FUNCTIONS)}. "
            f"Map it to a function: custom={{{path[:120]!r}: my_function}}."
        )
    keywords.pop("inplace", None)
    if not keywords:
        return _FUNCTIONS[name]
    if name == "GELU" and keywords in ({"approximate": "none"}, {"approximate": "tanh"}):
        return jax.nn.gelu if keywords["approximate"] == "tanh" else _FUNCTIONS[name]
    record, names = _RECORDS.get(name, (None, {}))
    if record is None or not keywords.keys() <= names.keys():
        raise FileFormatError(
            f"the activation {path!r} with {', '.join(keywords)[:80]} is not known. Map it with custom=."
        )
    return record(**{names[keyword]: float(number_of(value)) for keyword, value in keywords.items()})
