"""Which policy class of a file is built how: the allow-list of classes, and the algorithm that they tell of."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from perdure._core import FileFormatError
from perdure.policy import AbstractPolicy

from ._actor_critic import actor_critic, recurrent
from ._ars import ars
from ._data import Fields
from ._encoding import COMBINED, FLATTEN, NATURE
from ._off_policy import cross_q, deterministic, dqn, qrdqn, soft
from ._source import Source


class Family(NamedTuple):
    """What a policy class stands for."""

    build: Callable[[Source], AbstractPolicy]
    activation: str  # where the model does not say
    extractor: str  # likewise
    module: str


_ON_POLICY = ("ActorCriticPolicy", "ActorCriticCnnPolicy", "MultiInputActorCriticPolicy")
_MODULES: dict[str, tuple[Callable[[Source], AbstractPolicy], str, tuple[str, ...]]] = {
    "stable_baselines3.common.policies": (actor_critic, "Tanh", _ON_POLICY),
    "stable_baselines3.ppo.policies": (actor_critic, "Tanh", ("PPOPolicy", "MlpPolicy", "CnnPolicy")),
    "stable_baselines3.a2c.policies": (actor_critic, "Tanh", ("A2CPolicy", "MlpPolicy", "CnnPolicy")),
    "sb3_contrib.common.maskable.policies": (
        actor_critic,
        "Tanh",
        ("MaskableActorCriticPolicy", "MaskableActorCriticCnnPolicy", "MaskableMultiInputActorCriticPolicy"),
    ),
    "sb3_contrib.common.recurrent.policies": (
        recurrent,
        "Tanh",
        ("RecurrentActorCriticPolicy", "RecurrentActorCriticCnnPolicy", "RecurrentMultiInputActorCriticPolicy"),
    ),
    "stable_baselines3.dqn.policies": (dqn, "ReLU", ("DQNPolicy", "CnnPolicy", "MultiInputPolicy")),
    "sb3_contrib.qrdqn.policies": (qrdqn, "ReLU", ("QRDQNPolicy", "CnnPolicy", "MultiInputPolicy")),
    "stable_baselines3.td3.policies": (deterministic, "ReLU", ("TD3Policy", "CnnPolicy", "MultiInputPolicy")),
    "stable_baselines3.sac.policies": (soft, "ReLU", ("SACPolicy", "CnnPolicy", "MultiInputPolicy")),
    "sb3_contrib.tqc.policies": (soft, "ReLU", ("TQCPolicy", "CnnPolicy", "MultiInputPolicy")),
    "sb3_contrib.crossq.policies": (cross_q, "ReLU", ("CrossQPolicy", "CnnPolicy", "MultiInputPolicy")),
    "sbx.ppo.policies": (actor_critic, "Tanh", ("PPOPolicy",)),
    "sbx.sac.policies": (soft, "ReLU", ("SACPolicy",)),
    "sbx.tqc.policies": (soft, "ReLU", ("TQCPolicy",)),
    "sbx.dqn.policies": (dqn, "ReLU", ("DQNPolicy",)),
    "sb3_contrib.ars.policies": (functools.partial(ars, linear=False), "ReLU", ("ARSPolicy",)),
}
_LINEAR = "sb3_contrib.ars.policies.ARSLinearPolicy"
_BY_MODULE = {
    "sb3_contrib.common.maskable.policies": "MaskablePPO",
    "sb3_contrib.common.recurrent.policies": "RecurrentPPO",
    "sb3_contrib.qrdqn.policies": "QR-DQN",
    "sb3_contrib.tqc.policies": "TQC",
    "sb3_contrib.crossq.policies": "CrossQ",
    "sb3_contrib.ars.policies": "ARS",
    "stable_baselines3.dqn.policies": "DQN",
    "stable_baselines3.sac.policies": "SAC",
    "sbx.sac.policies": "SAC",
    "sbx.tqc.policies": "TQC",
    "sbx.dqn.policies": "DQN",
}


def family_of(path: str, custom: Any) -> Family:
    """What the policy class of that dotted name stands for; `custom` may say which class it is like.

    Raises: FileFormatError naming an unknown class and how to map it.
    """
    alike = custom.get(path, path)
    module, _, name = alike.rpartition(".") if isinstance(alike, str) else ("", "", "")
    if alike == _LINEAR:
        return Family(functools.partial(ars, linear=True), "torch.nn.ReLU", FLATTEN, module)
    build, activation, names = _MODULES.get(module, (None, "", ()))
    if build is None or name not in names:
        raise FileFormatError(
            f"the policy class {path[:120]!r} is not known. If it acts as one of Stable-Baselines3's, say which: "
            f"custom={{{path[:120]!r}: 'stable_baselines3.common.policies.ActorCriticPolicy'}}."
        )
    extractor = NATURE if "Cnn" in name else COMBINED if "MultiInput" in name else FLATTEN
    return Family(build, f"torch.nn.{activation}", extractor, module)


def algorithm_of(module: str, fields: Fields) -> str:
    """No file says which algorithm wrote it; its policy class and its settings do."""
    if "model_class" in fields:
        return "HER"
    if module in _BY_MODULE:
        return _BY_MODULE[module]
    if module == "stable_baselines3.td3.policies":
        one_critic = fields.mapping("policy_kwargs").get("n_critics") == 1
        return "DDPG" if one_critic and fields.get("policy_delay") == 1 else "TD3"
    for setting, algorithm in (("cg_max_steps", "TRPO"), ("clip_range", "PPO"), ("gae_lambda", "A2C")):
        if setting in fields:
            return algorithm
    return "an on-policy algorithm"
