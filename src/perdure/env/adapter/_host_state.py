"""Where Gymnasium's environments stand, as JSON, so that a training on them can go on exactly in another process.

An environment is a chain of objects: vector environment, wrappers, the environment itself. The state is every attribute of
each of them: numbers, arrays, random generators, what is made of these, and the physics of MuJoCo. What is constant
(spaces, specifications, models, functions) is left out. An attribute of any other kind may hold what the next step depends
on, so with one of those there is no state.
"""

import base64
import collections
import enum
import json
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from perdure._core import FileFormatError

_CONSTANT_TYPES = (type, types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.ModuleType, enum.Enum)
_CONSTANT_MODULES = (
    "gymnasium.spaces.",
    "gymnasium.envs.registration",
    "gymnasium.envs.mujoco.mujoco_rendering",
    "pygame",
)
_INNER = ("env", "envs", "vec_env")  # attributes that hold the next object of the chain
_NO_PART_OF_THE_TASK = ("render_mode", "num_envs", "vectorization_mode")  # among the settings of an environment
_DRAWN = ("screen", "clock", "surf", "isopen")  # only of pictures, by Gymnasium's habit


class NotSavable(TypeError):
    """An environment has an attribute of a kind that cannot be saved; the message names it."""


def state_of(env: object) -> list[dict[str, Any]]:
    """Where an environment of Gymnasium (one or a vector) stands; JSON. Raises: NotSavable"""
    return [{"class": name_of(one), "attributes": attributes_of(one)} for one in chain(env)]


def restore(env: object, saved: object) -> None:
    """Put an environment where `state_of` found one of the same making. Raises: FileFormatError if it is another."""
    ours = list(chain(env))
    if not isinstance(saved, list) or len(saved) != len(ours):
        raise FileFormatError(f"the saved environment is made of other parts than {name_of(env)}.")
    decoded = []
    for one, part in zip(ours, saved, strict=True):
        found, named = (part.get("class"), part.get("attributes")) if isinstance(part, dict) else (None, None)
        if found != name_of(one) or not isinstance(named, dict):
            raise FileFormatError(f"the saved environment has {str(found)[:80]} where this one has {name_of(one)}.")
        if other := sorted(named.keys() ^ attributes_of(one).keys()):
            raise FileFormatError(f"the attribute {other[0][:80]!r} of {name_of(one)} is only in one of the two.")
        decoded.append({name: decode(value, vars(one)[name]) for name, value in named.items()})
    for one, named in zip(ours, decoded, strict=True):
        for name, value in named.items():
            if not is_physics(vars(one)[name]):
                vars(one)[name] = value


def chain(env: object) -> Iterator[object]:
    """The objects that an environment is made of, outermost first, but for what only looks at it."""
    if not hasattr(type(env), "is_checked"):
        yield env
    for name in _INNER:
        inner = vars(env).get(name)
        for one in inner if isinstance(inner, list | tuple) else [] if inner is None else [inner]:
            yield from chain(one)


def making_of(env: object) -> list[str]:
    """What one environment of a vector is made of, a line for each object: its class, and the settings it was made with.

    Settings are those that Gymnasium recorded: keyword arguments of `gymnasium.make` and of wrappers.
    """
    one: object = env
    parts = []
    while one is not None:
        inner = next((found for name in _INNER if (found := vars(one).get(name))), None)
        is_vector = isinstance(inner, list | tuple) or hasattr(one, "num_envs")
        if (not is_vector or inner is None) and not hasattr(type(one), "is_checked"):
            spec = getattr(one, "spec", None)
            recorded = getattr(one, "_saved_kwargs", None) or (getattr(spec, "kwargs", None) if inner is None else None)
            parts.append(" ".join([name_of(one), *([str(spec.id)] if spec is not None else []), *told(recorded or {})]))
        one = inner[0] if isinstance(inner, list | tuple) else inner
    return parts


def told(settings: Mapping[str, object]) -> list[str]:
    """Settings as text, in alphabetical order; what has no text of its own, by its class."""
    lines = []
    for name, value in sorted((name, value) for name, value in settings.items() if name not in _NO_PART_OF_THE_TASK):
        try:
            text = json.dumps(encode(value), sort_keys=True)
        except NotSavable:
            own_name = getattr(value, "__qualname__", None)
            text = f"{value.__module__}.{own_name}" if own_name else name_of(value)
        lines.append(f"{name}={text}")
    return lines


def name_of(one: object) -> str:
    return f"{type(one).__module__}.{type(one).__qualname__}"


def attributes_of(one: object) -> dict[str, Any]:
    named = {}
    for name, value in vars(one).items():
        if name in _INNER or name in _DRAWN or is_constant(value):
            continue
        try:
            named[name] = encode(value)
        except NotSavable as error:
            raise NotSavable(f"attribute {name!r} of {name_of(one)} is {error}") from None
    return named


def is_constant(value: object) -> bool:
    if isinstance(value, _CONSTANT_TYPES) or callable(value):
        return True
    if isinstance(value, list | tuple) and value:
        return all(map(is_constant, value))
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return kind == "mujoco._structs.MjModel" or kind.startswith(_CONSTANT_MODULES)


def is_physics(value: object) -> bool:
    return type(value).__module__ == "mujoco._structs" and type(value).__name__ == "MjData"


def physics_arrays(data: Any) -> dict[str, np.ndarray]:
    """Every array of MuJoCo's data, as views: the state, and what environments read of the step before.

    Not those whose size depends on what touches what, which each step makes anew.
    """
    fresh = type(data)(data.model)
    named = {name: getattr(data, name) for name in dir(data) if not name.startswith("_")}
    arrays = {name: value for name, value in named.items() if isinstance(value, np.ndarray) and value.dtype != object}
    return {name: value for name, value in arrays.items() if value.size and value.shape == getattr(fresh, name).shape}


def encode(value: Any) -> Any:
    """A value as JSON that tells its type. Raises: NotSavable"""
    match value:
        case None | bool() | str():
            return value
        case np.generic():
            return {"scalar": encode(np.asarray(value))}
        case int():
            return {"int": str(value)}
        case float():
            return {"float": value.hex()}
        case np.ndarray() if value.dtype != object:
            text = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
            return {"array": value.dtype.str, "shape": list(value.shape), "data": text}
        case list() | tuple():
            return {type(value).__name__ if type(value) in (list, tuple) else "tuple": [encode(x) for x in value]}
        case collections.deque():
            return {"deque": [encode(x) for x in value], "maxlen": value.maxlen}
        case dict():
            return {"dict": [[encode(name), encode(x)] for name, x in value.items() if not is_constant(x)]}
        case np.random.Generator():
            return {"generator": encode(value.bit_generator.state)}
    if is_physics(value):
        return {"physics": encode({"time": float(value.time), **physics_arrays(value)})}
    raise NotSavable(f"{type(value).__module__}.{type(value).__qualname__}")


def decode(saved: Any, present: Any) -> Any:
    """The value that `encode` was given. Generators and physics, which `present` has, are set in place.

    Raises: FileFormatError for what `encode` does not give, or what does not fit `present`.
    """
    try:
        match saved:
            case None | bool() | str():
                return saved
            case {"scalar": array}:
                return decode(array, None)[()]
            case {"int": text}:
                return int(text) if len(text) < 80 else float("nan")
            case {"float": text}:
                return float.fromhex(text)
            case {"array": str(dtype), "shape": shape, "data": text}:
                data = np.frombuffer(base64.b64decode(text, validate=True), dtype)
                return data.reshape(shape).copy()
            case {"list": list(members)}:
                return [decode(x, None) for x in members]
            case {"tuple": list(members)}:
                return tuple(decode(x, None) for x in members)
            case {"deque": list(members), "maxlen": most}:
                return collections.deque((decode(x, None) for x in members), most)
            case {"dict": list(items)}:
                kept = present if isinstance(present, dict) else {}
                return {**kept, **{(name := decode(key, None)): decode(x, kept.get(name)) for key, x in items}}
            case {"generator": state} if isinstance(present, np.random.Generator):
                present.bit_generator.state = decode(state, None)
                return present
            case {"physics": named} if is_physics(present):
                values = decode(named, None)
                present.time = values.pop("time")
                for name, view in physics_arrays(present).items():
                    view[...] = values[name].reshape(view.shape)
                return present
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileFormatError(f"the saved environment does not fit: {error!r}"[:200]) from error
    raise FileFormatError(f"the saved environment holds {str(saved)[:80]}, which is no value.")
