"""Models made with the real stable-baselines3 and sb3-contrib: random weights, tiny networks, every kind there is."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import sb3_contrib
import stable_baselines3
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

INF = float("inf")
BOX = spaces.Box(-INF, INF, (5,), np.float32)
IMAGE = spaces.Box(0, 255, (36, 36, 3), np.uint8)
DICT = spaces.Dict(
    [
        ("vec", spaces.Box(-5, 5, (2, 2), np.float32)),
        ("cam", IMAGE),
        ("bits", spaces.MultiBinary(3)),
        ("cmd", spaces.Discrete(3)),
        ("gears", spaces.MultiDiscrete([2, 3])),
        ("arm", spaces.Box(0, 255, (36, 40, 4), np.uint8)),
    ]
)
VECTORS = spaces.Dict([("vel", BOX), ("goal", spaces.Box(-1, 1, (2,), np.float64)), ("mode", spaces.Discrete(2))])
SCENE = spaces.Dict({"vec": BOX, "cam": IMAGE})
STACKS = spaces.Dict({"vec": BOX, "cam": spaces.Box(0, 255, (4, 36, 40), np.uint8)})
OBSERVATIONS = {
    "box": BOX,
    "matrix": spaces.Box(-3, 3, (2, 3), np.float32),
    "float64": spaces.Box(-INF, INF, (4,), np.float64),
    "integers": spaces.Box(-5, 5, (3,), np.int64),
    "discrete": spaces.Discrete(5),
    "multidiscrete": spaces.MultiDiscrete([3, 2, 4]),
    "multibinary": spaces.MultiBinary(4),
    "image": IMAGE,
    "stack": spaces.Box(0, 255, (4, 36, 44), np.uint8),
    "dict": DICT,
    "vectors": VECTORS,
    "floats": spaces.Box(0, 1, (3, 36, 40), np.float32),
    "float scene": spaces.Dict({"vec": BOX, "cam": spaces.Box(0, 1, (3, 36, 40), np.float32)}),
    "scene": SCENE,
    "stacks": STACKS,
}
CONTINUOUS = spaces.Box(np.array([-1, 0.5, -30], np.float32), np.array([1, 80, -10], np.float32))
ACTIONS = {
    "discrete": spaces.Discrete(4),
    "continuous": CONTINUOUS,
    "matrix": spaces.Box(-2, 2, (2, 2), np.float32),
    "multidiscrete": spaces.MultiDiscrete([2, 3, 4]),
    "multibinary": spaces.MultiBinary(3),
}
SMALL = {"net_arch": [8, 8]}
DISTINCT = {"net_arch": {"pi": [9], "vf": [7, 6]}}
CNN = {"net_arch": [8], "features_extractor_kwargs": {"features_dim": 12}}
COMBINED = {"net_arch": [8], "features_extractor_kwargs": {"cnn_output_dim": 6}}


class Case(NamedTuple):
    algorithm: str
    policy: str
    observation: str
    action: str
    policy_kwargs: dict[str, Any] = {}  # noqa: RUF012
    model_kwargs: dict[str, Any] = {}  # noqa: RUF012
    note: str = ""

    def __str__(self) -> str:
        return "-".join(filter(None, (self.algorithm, self.policy, self.observation, self.action, self.note)))


class World(gymnasium.Env):
    """Nothing but spaces, of its own: VecNormalize changes them."""

    def __init__(self, observation: str, action: str):
        self.observation_space, self.action_space = copy.deepcopy((OBSERVATIONS[observation], ACTIONS[action]))

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}

    def action_masks(self):
        raise NotImplementedError


def randomize(module: torch.nn.Module, rng: np.random.Generator) -> None:
    """Weights that keep numbers of unit size, biases and statistics of batches beside their defaults."""
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.dtype != torch.float32:
                continue
            fan_in = tensor[0].numel() if tensor.ndim > 1 else 4
            numbers = rng.normal(size=tuple(tensor.shape)) * 1.4 / np.sqrt(fan_in)
            tensor.copy_(torch.as_tensor(np.abs(numbers) + 0.2 if name.endswith("ra_var") else numbers))


def make_model(case: Case, env: Any = None) -> Any:
    cls = getattr(stable_baselines3, case.algorithm, None) or getattr(sb3_contrib, case.algorithm)
    settings: dict[str, Any] = {"seed": 0, "device": "cpu"}
    if case.algorithm in ("PPO", "A2C", "TRPO", "MaskablePPO", "RecurrentPPO"):
        settings["n_steps"] = 8
    elif case.algorithm != "ARS":
        settings["buffer_size"] = 10
    if case.algorithm in ("PPO", "TRPO", "MaskablePPO", "RecurrentPPO"):
        settings["batch_size"] = 8
    env = env or World(case.observation, case.action)
    kwargs = {"policy_kwargs": dict(case.policy_kwargs)} if case.policy_kwargs else {}  # SB3 writes into it
    model = cls(case.policy, env, **settings, **kwargs, **case.model_kwargs)
    randomize(model.policy, np.random.default_rng(1))
    return model


def saved(model: Any, folder: Path) -> Path:
    """The file of a model."""
    model.save(folder / "model.zip")
    return folder / "model.zip"


def sample(space: Any, count: int, seed: int = 0) -> Any:
    """A batch of observations as an environment gives them."""
    space.seed(seed)
    if isinstance(space, spaces.Dict):
        return {name: sample(member, count, seed + 1) for name, member in space.spaces.items()}
    return np.stack([np.asarray(space.sample()) for _ in range(count)])


def _head(model: Any) -> torch.nn.Module:
    policy = model.policy
    for name in ("q_net", "quantile_net", "action_net"):
        if hasattr(policy, name):
            return getattr(policy, name)
    return policy.actor.mu


def predict(model: Any, observations: Any, **kwargs: Any) -> tuple[np.ndarray, np.ndarray, Any]:
    """Actions, the numbers they are made from, and the next memory."""
    seen: list[torch.Tensor] = []
    module = _head(model)
    hook = module.register_forward_hook(lambda _m, _x, y: seen.append(y.detach()))
    try:
        actions, state = model.predict(observations, deterministic=True, **kwargs)
    finally:
        hook.remove()
    head = seen[-1].numpy()
    return actions, head.mean(1) if head.ndim == 3 else head, state


def values(model: Any, observations: Any) -> np.ndarray:
    """Of the critic of an on-policy model without a memory."""
    with torch.no_grad():
        return model.policy.predict_values(model.policy.obs_to_tensor(observations)[0]).numpy()[:, 0]


def normalized_world(case: Case, scale: float, **settings: Any) -> VecNormalize:
    """A VecNormalize with statistics of its own, far from zero by `scale`."""
    venv = VecNormalize(DummyVecEnv([lambda: World(case.observation, case.action)]), **settings)
    rng = np.random.default_rng(3)
    if not venv.norm_obs:
        return venv
    statistics = venv.obs_rms.values() if isinstance(venv.obs_rms, dict) else [venv.obs_rms]
    for one in statistics:
        one.mean = rng.normal(size=one.mean.shape) * scale
        one.var = rng.uniform(0.05, 3.0, one.var.shape)
    return venv


def near_statistics(venv: VecNormalize, observation: str, count: int) -> Any:
    """Raw observations of which some are clipped, in the dtype that the environment gives."""
    rng = np.random.default_rng(5)

    def near(rms: Any, space: Any) -> np.ndarray:
        draws = rms.mean + np.sqrt(rms.var) * rng.normal(size=(count, *rms.mean.shape)) * 3
        return (
            draws.astype(np.float32)
            if space.dtype.kind == "f"
            else draws.clip(space.low, space.high).astype(space.dtype)
        )

    raw = OBSERVATIONS[observation]
    if not isinstance(venv.obs_rms, dict):
        return near(venv.obs_rms, raw)
    return {
        name: near(venv.obs_rms[name], space) if name in venv.obs_rms else sample(space, count)
        for name, space in raw.spaces.items()
    }


def activations() -> dict[str, Callable[[], torch.nn.Module]]:
    names = (
        *("CELU", "ELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LeakyReLU"),
        *("LogSigmoid", "Mish", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softshrink", "Softsign"),
        *("Tanh", "Tanhshrink"),
    )
    return {name: getattr(torch.nn, name) for name in names}
