"""Activations: the classes of torch.nn and the functions of JAX, which models name, and the words of configurations."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from perdure._core import FileFormatError, lookup
from perdure.network import Activation, Bounded, Celu, Elu, HardShrink, LeakyRelu, SoftShrink, tanh_shrink

from ._pickle import Call, Global, Node
from ._values import mapping_of, name_of, number_of

_OF_TORCH: dict[str, Activation] = {
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
_OF_NN = (
    *("relu", "relu6", "elu", "celu", "selu", "silu", "gelu", "sigmoid", "softplus", "soft_sign", "hard_tanh"),
    *("leaky_relu", "mish", "log_sigmoid"),
)
_OF_JAX: dict[str, Activation] = {
    "jax._src.numpy.ufuncs.tanh": jnp.tanh,
    **{f"jax._src.nn.functions.{name}": getattr(jax.nn, name) for name in _OF_NN},
}
_BY_WORD = {**{name.lower(): function for name, function in _OF_TORCH.items()}, "swish": jax.nn.silu}
_CODE_NAME = 11  # place of `co_name` among the arguments of `types.CodeType`, since Python 3.8


def activation_named(word: str) -> Activation:
    """The function that a configuration calls `word`: a class of torch.nn ("ELU", "elu", "leaky_relu"), or "swish".

    Raises: ValueError naming those that are known.
    """
    function = _BY_WORD.get(word.lower().replace("_", ""))
    if function is None:
        raise ValueError(f"activation={word!r} is not known. Known: {', '.join(_BY_WORD)}.")
    return function


def _torch_name(path: str) -> str | None:
    package, _, name = path.rpartition(".")
    return name if package == "torch.nn" or package.startswith("torch.nn.modules.") else None


def _unwrapped(node: Node) -> tuple[Node, dict[str, Node]]:
    """A class or function, and the keywords that `functools.partial` gives it."""
    if isinstance(node, Call) and node.function == Global("functools", "partial") and isinstance(node.state, tuple):
        function, positional, keywords = (*node.state, None, None)[:3]
        if not positional:
            return function, mapping_of(keywords or {})
    return node, {}


def _path(node: Node) -> str:
    """The dotted name of a class or function, which cloudpickle stores by value and JAX inside of `jax.jit` or `custom_jvp`."""
    if isinstance(node, Call) and name_of(node).startswith(("jax.", "jaxlib.")) and isinstance(node.state, dict):
        module, name = node.state.get("__module__"), node.state.get("__qualname__")
        if isinstance(module, str) and isinstance(name, str):
            return f"{module}.{name}"
        node = node.state.get("fun")
    if isinstance(node, Call) and name_of(node).endswith("._make_function") and len(node.arguments) >= 2:
        code, namespace = node.arguments[:2]
        if isinstance(code, Call) and len(code.arguments) > _CODE_NAME and isinstance(namespace, dict):
            module, name = namespace.get("__name__"), code.arguments[_CODE_NAME]
            return f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else name_of(node)
    return name_of(node)


def activation_of(node: Node, custom: Mapping[str, object]) -> Activation:
    """The function that a node of a pickle stands for: a class of torch.nn, a partial of one, or a function of JAX.

    Raises: FileFormatError naming what is unknown, and how to map it.
    """
    node, keywords = _unwrapped(node)
    path = _path(node)
    mapped = custom.get(path)
    if callable(mapped):
        return mapped
    if path in _OF_JAX and not keywords:
        return _OF_JAX[path]
    name = _torch_name(path) if isinstance(node, Global) else None
    if name not in _OF_TORCH:
        raise FileFormatError(
            f"the activation {path[:120]!r} is not known. Known from torch.nn: {', '.join(_OF_TORCH)}. "
            f"Map it to a function: custom={{{path[:120]!r}: my_function}}."
        )
    keywords.pop("inplace", None)
    if not keywords:
        return _OF_TORCH[name]
    if name == "GELU" and keywords in ({"approximate": "none"}, {"approximate": "tanh"}):
        return jax.nn.gelu if keywords["approximate"] == "tanh" else _OF_TORCH[name]
    record, names = _RECORDS.get(name, (None, {}))
    if record is None or not keywords.keys() <= names.keys():
        raise FileFormatError(
            f"the activation {path[:120]!r} with {', '.join(keywords)[:80]} is not known. Map it with custom=."
        )
    return record(**{names[keyword]: float(number_of(value)) for keyword, value in keywords.items()})
