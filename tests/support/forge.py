"""Pickles, tensors and zips made by hand, with anything in them: the inverse of `perdure.importer`'s readers."""

import base64
import io
import json
import struct
import zipfile
from typing import Any

import numpy as np

from perdure.importer._pickle import Call, Global, Persistent


def opcodes(value: Any) -> bytes:
    """A value, which may hold nodes, as pickle opcodes without PROTO and STOP."""
    match value:
        case bool() | None:
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        case Global():
            return f"c{value.module}\n{value.name}\n".encode()
        case Call():
            built = opcodes(value.function) + opcodes(tuple(value.arguments)) + b"R"
            if value.pairs:
                built += b"(" + b"".join(opcodes(x) for pair in value.pairs for x in pair) + b"u"
            return built if value.state is None else built + opcodes(value.state) + b"b"
        case Persistent():
            return opcodes(value.id) + b"Q"
        case int():
            return f"I{value}\n".encode()
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case bytes():
            return b"B" + struct.pack("<I", len(value)) + value
        case tuple():
            return b"(" + b"".join(map(opcodes, value)) + b"t"
        case list():
            return b"](" + b"".join(map(opcodes, value)) + b"e"
        case dict():
            return b"}(" + b"".join(opcodes(x) for pair in value.items() for x in pair) + b"u"
    raise TypeError(type(value))


def dump(value: Any) -> bytes:
    return b"\x80\x03" + opcodes(value) + b"."


NDARRAY = Global("numpy", "ndarray")


def dtype(code: str) -> Call:
    return Call(Global("numpy", "dtype"), (code, False, True), state=(3, "<", None, None, None, -1, -1, 0))


def array(values: Any, code: str = "f4") -> Call:
    numbers = np.asarray(values, f"<{code}")
    state = (1, numbers.shape, dtype(code), False, numbers.tobytes())
    return Call(Global("numpy.core.multiarray", "_reconstruct"), (NDARRAY, (0,), b"b"), state=state)


def box(size: int = 3, **changes: Any) -> Call:
    state = {
        "dtype": dtype("f4"),
        "_shape": (size,),
        "low": array([-2.0] * size),
        "high": array([2.0] * size),
    }
    return Call(Global("gymnasium.spaces.box", "Box"), (), state={**state, **changes})


def discrete(n: Any = 2) -> Call:
    return Call(Global("gymnasium.spaces.discrete", "Discrete"), (), state={"n": n, "start": 0})


POLICY_CLASS = Global("stable_baselines3.common.policies", "ActorCriticPolicy")
FLOATS = Global("torch", "FloatStorage")


def tensor(key: str, shape: tuple[int, ...], **changes: Any) -> Call:
    parts = {
        "storage": Persistent(("storage", FLOATS, key, "cpu", int(np.prod(shape)))),
        "offset": 0,
        "size": shape,
        "stride": tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape))),
    }
    parts |= changes
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), (*parts.values(), False, {}))


SHAPES = {
    "mlp_extractor.policy_net.0.weight": (4, 3),
    "mlp_extractor.policy_net.0.bias": (4,),
    "mlp_extractor.value_net.0.weight": (4, 3),
    "mlp_extractor.value_net.0.bias": (4,),
    "action_net.weight": (2, 4),
    "action_net.bias": (2,),
    "value_net.weight": (1, 4),
    "value_net.bias": (1,),
}


def state_dict(**changes: Any) -> dict[str, Any]:
    return {name: tensor(str(i), shape) for i, (name, shape) in enumerate(SHAPES.items())} | changes


def storages() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    return {str(i): rng.normal(size=shape).astype("<f4").tobytes() for i, shape in enumerate(SHAPES.values())}


def zipped(members: dict[str, bytes] | list[tuple[Any, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, content)
    return stream.getvalue()


def torch_zip(tree: Any = None, contents: dict[str, bytes] | None = None) -> bytes:
    members = {"archive/data.pkl": tree if isinstance(tree, bytes) else dump(state_dict() if tree is None else tree)}
    members |= {f"archive/data/{key}": content for key, content in (contents or storages()).items()}
    return zipped(members)


def torch_checkpoint(tree: dict[str, Any]) -> bytes:
    """A file as `torch.save` writes one, of a dict in which arrays of float32 stand where tensors are to be."""
    contents: dict[str, bytes] = {}

    def node(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: node(member) for key, member in value.items()}
        if not isinstance(value, np.ndarray):
            return value
        key = str(len(contents))
        contents[key] = value.astype("<f4").tobytes()
        return tensor(key, value.shape)

    return torch_zip(node(tree), contents)


def torch_legacy(tree: Any = None) -> bytes:
    pickles = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, state_dict() if tree is None else tree)
    head = b"".join(dump(value) for value in pickles)
    contents = storages()
    raw = b"".join(struct.pack("<q", len(content) // 4) + content for content in contents.values())
    return head + dump(list(contents)) + raw


def pickled(value: Any) -> dict[str, str]:
    content = value if isinstance(value, bytes) else dump(value)
    return {":type:": "forged", ":serialized:": base64.b64encode(content).decode()}


def fields(**changes: Any) -> dict[str, Any]:
    plain = {
        "policy_class": pickled(POLICY_CLASS),
        "policy_kwargs": {},
        "observation_space": pickled(box()),
        "action_space": pickled(discrete()),
        "clip_range": 0.2,
        "gae_lambda": 0.95,
    }
    return {**plain, **changes}


def model_zip(data: Any = None, weights: bytes | None = None, **members: bytes) -> bytes:
    text = data if isinstance(data, bytes) else json.dumps(fields() if data is None else data).encode()
    return zipped({"data": text, "policy.pth": torch_zip() if weights is None else weights, **members})


def statistics(size: int = 3, **changes: Any) -> Call:
    state = {"mean": array([0.0] * size, "f8"), "var": array([1.0] * size, "f8"), "count": 1.0}
    return Call(Global("stable_baselines3.common.running_mean_std", "RunningMeanStd"), (), state={**state, **changes})


def vecnormalize(**changes: Any) -> Call:
    state = {
        "observation_space": box(),
        "obs_rms": statistics(),
        "clip_obs": 10.0,
        "epsilon": 1e-8,
        "norm_obs": True,
    }
    function = Global("stable_baselines3.common.vec_env.vec_normalize", "VecNormalize")
    return Call(function, (), state={**state, **changes})
