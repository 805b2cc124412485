"""A policy as a pure function of named arrays: the same names, shapes and dtypes in every target.

| name | what | when |
|---|---|---|
| `observation`, or `observation.<key>` | the raw observation; a Dict by key, a Tuple by position | always |
| `action_mask` | flat bool vector, True where legal (`AbstractSpace.mask_size`) | on request |
| `noise` | what the caller drew, see `_noise` | for an export that samples |
| `state.<name>` in, `next_state.<name>` out | memory of a stateful policy | if it has one |
| `action`, or `action.<key>` | in the environment's units and dtype | always |
| `logits`, `q_values`, `value` | what the action comes from | on request |

The memory goes out under another name because ONNX has one namespace for inputs and outputs.
"""

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr

from perdure._core import ExportError
from perdure.policy import AbstractPolicy
from perdure.space import AbstractSpace, Box, Discrete, MultiDiscrete, assemble, flatten_value, leaves_of

from ._noise import Noise, noise_of

OPTIONAL_OUTPUTS = ("logits", "q_values", "value")


@dataclasses.dataclass(frozen=True)
class Port:
    """One input or output of one observation, without the batch axis."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    space: AbstractSpace | None = None  # of observations and actions
    noise: Noise | None = None  # of the input `noise`

    @property
    def space_dtype(self) -> np.dtype:
        """Of the plain space of an observation or action."""
        return np.dtype(self.space.dtype)  # type: ignore[union-attr]

    @property
    def is_widened(self) -> bool:
        """The space is of a dtype that no target takes; the port is of a wider one, see `observation_ports`."""
        return self.space is not None and self.space_dtype != self.dtype

    def narrowed(self, value: Any) -> Any:
        """What the policy is given: the value in the dtype of the space."""
        return value.astype(self.space_dtype) if self.is_widened else value


@dataclasses.dataclass(frozen=True)
class Signature:
    """`function(*inputs) -> outputs`, both in the order of the ports. `initial_state` belongs to the state inputs."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    function: Callable[..., tuple[Any, ...]]
    initial_state: dict[str, np.ndarray]

    @property
    def actions(self) -> list[Port]:
        return [port for port in self.outputs if port.space is not None]

    @property
    def sentinels(self) -> dict[str, int]:
        """What an integer action is where the guard rings: -1, or the next number below the space."""
        return {p.name: sentinel(p) for p in self.actions if p.dtype.kind != "f"}


def space_ports(space: AbstractSpace, name: str) -> list[Port]:
    return [Port(n, tuple(s.shape), np.dtype(s.dtype), s) for n, s in leaves_of(space, name)]  # type: ignore[attr-defined]


WIDER = {
    "int16": np.int32,
    "uint16": np.int32,
    "float16": np.float32,
}  # by what no target takes: the next that holds it


def observation_ports(space: AbstractSpace) -> list[Port]:
    """Those of a space, in dtypes that targets take: numbers of 16 bits are given as the wider kind that holds them all."""
    ports = space_ports(space, "observation")
    return [dataclasses.replace(p, dtype=np.dtype(WIDER.get(p.dtype.name, p.dtype))) for p in ports]


def sentinel(port: Port) -> int:
    low = 0
    if isinstance(port.space, Discrete):
        low = port.space.start
    elif isinstance(port.space, MultiDiscrete):
        low = min(port.space.start)
    elif isinstance(port.space, Box):
        low = int(port.space.low.min(initial=0))
    value = min(-1, low - 1)
    if value < np.iinfo(port.dtype).min:
        raise ExportError(
            f"'{port.name}' is {port.dtype} from {low}, which leaves no number to say that the action is lost. "
            "Give the action space a signed dtype, or export with nan_guard=False."
        )
    return value


def next_name(state: str) -> str:
    """The output that becomes this input at the next step."""
    return f"next_{state}"


def state_ports(policy: AbstractPolicy) -> tuple[list[Port], dict[str, np.ndarray], Any]:
    """Ports, initial values and tree structure of the policy's memory."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(policy.reset(key=jr.key(0)))
    ports, initial = [], {}
    for path, leaf in leaves:
        name = ".".join(filter(None, ["state", jax.tree_util.keystr(path, simple=True, separator=".")]))
        array = np.asarray(leaf)
        if array.dtype != np.float32:
            raise ExportError(
                f"'{name}' is {array.dtype}, but the memory of an exported policy must be float32 arrays."
            )
        ports.append(Port(name, array.shape, array.dtype))
        initial[name] = array
    return ports, initial, structure


def mask_port(policy: AbstractPolicy) -> Port:
    size = policy.action_space.mask_size
    if size == 0:
        raise ValueError(f"action_mask=True, but {policy.action_space} has no choices to bar. Export without a mask.")
    if "action_mask" not in inspect.signature(type(policy).__call__).parameters:
        raise ValueError(
            f"action_mask=True, but {type(policy).__name__}.__call__ takes no action_mask. Export without a mask."
        )
    return Port("action_mask", (size,), np.dtype(bool))


def noise_port(policy: AbstractPolicy) -> Port:
    noise = noise_of(policy)
    return Port("noise", noise.shape, np.dtype(np.float32), noise=noise)


def optional_output(policy: Any, name: str, state: Any, observation: Any, mask: Any) -> Any:
    """`logits`, `q_values` or `value` for one observation."""
    if name == "q_values":
        return policy.q_values(state, observation)[1]
    _, distribution, value = policy.evaluate(state, observation, mask)
    if name == "value":
        return value
    if not hasattr(distribution, "logits"):
        kind = type(distribution).__name__
        raise ValueError(
            f"outputs has 'logits', but the policy's distribution is {kind}, which has none. Leave it out."
        )
    return distribution.logits


def check_outputs(policy: AbstractPolicy, outputs: Sequence[str]) -> None:
    known = ("action", *OPTIONAL_OUTPUTS)
    for name in outputs:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise ValueError(f"outputs has {name!r}, which is none of {', '.join(known)}.{hint}")
        method = {"q_values": "q_values", "logits": "evaluate", "value": "evaluate"}.get(name)
        if method is not None and not hasattr(policy, method):
            raise ValueError(f"outputs has {name!r}, but {type(policy).__name__} has no method {method}. Leave it out.")
    if "action" not in outputs:
        raise ValueError(f"outputs is {tuple(outputs)}, but an export always gives the action. Add 'action'.")


def as_action(port: Port, value: Any) -> jax.Array:
    """The policy's action in the space's dtype; only between integers and conditions, never between kinds of number."""
    value = jnp.asarray(value)
    if value.shape != port.shape:
        raise ExportError(f"the policy gives '{port.name}' of shape {value.shape}, its action space has {port.shape}.")
    if value.dtype != port.dtype and (value.dtype.kind == "f" or port.dtype.kind == "f"):
        raise ExportError(
            f"the policy gives '{port.name}' as {value.dtype}, its action space has {port.dtype}. Cast it."
        )
    return value.astype(port.dtype)


def signature(
    policy: AbstractPolicy,
    *,
    deterministic: bool = True,
    action_mask: bool = False,
    outputs: Sequence[str] = ("action",),
) -> Signature:
    """The policy as a pure function of named arrays; with `deterministic=False` one of them is noise.

    Raises: ValueError for an output the policy does not have, or if it has nothing to sample; ExportError for dtypes
    that no target carries.
    """
    check_outputs(policy, outputs)
    states, initial, structure = state_ports(policy)
    observations = observation_ports(policy.observation_space)
    actions = space_ports(policy.action_space, "action")
    masks = [mask_port(policy)] if action_mask else []
    noises = [] if deterministic else [noise_port(policy)]

    def function(*inputs: Any) -> tuple[Any, ...]:
        given = iter(inputs)
        narrow = [port.narrowed(next(given)) for port in observations]
        observation = assemble(policy.observation_space, iter(narrow))
        mask = next(given) if action_mask else None
        noise = [port.noise.inside(next(given)) for port in noises if port.noise is not None]
        state = jax.tree_util.tree_unflatten(structure, list(given))
        extra = {"action_mask": mask} if action_mask else {}
        act: Any = getattr(policy, "act_from_noise") if noise else policy  # noqa: B009 - `noise_of` has looked for it
        new_state, action = act(state, observation, *noise, **extra)
        values = flatten_value(policy.action_space, action)
        results = [as_action(port, value) for port, value in zip(actions, values, strict=True)]
        results += [optional_output(policy, name, state, observation, mask) for name in outputs if name != "action"]
        return (*results, *jax.tree.leaves(new_state))

    inputs = (*observations, *masks, *noises, *states)
    shapes = jax.eval_shape(function, *[jax.ShapeDtypeStruct(p.shape, p.dtype) for p in inputs])
    extras = [name for name in outputs if name != "action"]
    results = [Port(n, tuple(s.shape), np.dtype(s.dtype)) for n, s in zip(extras, shapes[len(actions) :], strict=False)]
    memory = [Port(next_name(port.name), port.shape, port.dtype) for port in states]
    return Signature(inputs, (*actions, *results, *memory), function, initial)
