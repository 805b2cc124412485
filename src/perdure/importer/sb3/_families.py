"""Which policy class of a file is built how: the allow-list of classes, and the algorithm that they tell of."""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

from perdure._core import FileFormatError
from perdure.policy import AbstractPolicy

from ._actor_critic import actor_critic, recurrent
from ._ars import ars
from ._data import Fields
from ._encoding import COMBINED, FLATTEN, NATURE
from ._off_policy import cross_q, deterministic, dqn, qrdqn, soft
from ._source import Source

Build = Callable[[Source], AbstractPolicy]


class Family(NamedTuple):
    """What a policy class stands for."""

    build: Build
    activation: str  # of torch.nn, where the model does not say
    extractor: str  # likewise
    module: str
    algorithm: str | None  # None where several have the class


_OFF = ("CnnPolicy", "MultiInputPolicy")
_ON = ("MlpPolicy", "CnnPolicy")
_MODULES: dict[str, tuple[str | None, Build, str, tuple[str, ...]]] = {  # algorithm, build, activation, classes
    "stable_baselines3.common.policies": (
        None,
        actor_critic,
        "Tanh",
        ("ActorCriticPolicy", "ActorCriticCnnPolicy", "MultiInputActorCriticPolicy"),
    ),
    "stable_baselines3.ppo.policies": (None, actor_critic, "Tanh", ("PPOPolicy", *_ON)),
    "stable_baselines3.a2c.policies": (None, actor_critic, "Tanh", ("A2CPolicy", *_ON)),
    "sb3_contrib.common.maskable.policies": (
        "MaskablePPO",
        actor_critic,
        "Tanh",
        ("MaskableActorCriticPolicy", "MaskableActorCriticCnnPolicy", "MaskableMultiInputActorCriticPolicy"),
    ),
    "sb3_contrib.common.recurrent.policies": (
        "RecurrentPPO",
        recurrent,
        "Tanh",
        ("RecurrentActorCriticPolicy", "RecurrentActorCriticCnnPolicy", "RecurrentMultiInputActorCriticPolicy"),
    ),
    "stable_baselines3.dqn.policies": ("DQN", dqn, "ReLU", ("DQNPolicy", *_OFF)),
    "sb3_contrib.qrdqn.policies": ("QR-DQN", qrdqn, "ReLU", ("QRDQNPolicy", *_OFF)),
    "stable_baselines3.td3.policies": (None, deterministic, "ReLU", ("TD3Policy", *_OFF)),
    "stable_baselines3.sac.policies": ("SAC", soft, "ReLU", ("SACPolicy", *_OFF)),
    "sb3_contrib.tqc.policies": ("TQC", soft, "ReLU", ("TQCPolicy", *_OFF)),
    "sb3_contrib.crossq.policies": ("CrossQ", cross_q, "ReLU", ("CrossQPolicy", *_OFF)),
    "sb3_contrib.ars.policies": ("ARS", functools.partial(ars, linear=False), "ReLU", ("ARSPolicy",)),
    "sbx.ppo.policies": (None, actor_critic, "Tanh", ("PPOPolicy",)),
    "sbx.sac.policies": ("SAC", soft, "ReLU", ("SACPolicy",)),
    "sbx.tqc.policies": ("TQC", soft, "ReLU", ("TQCPolicy",)),
    "sbx.dqn.policies": ("DQN", dqn, "ReLU", ("DQNPolicy",)),
}
_LINEAR = "sb3_contrib.ars.policies.ARSLinearPolicy"


_BY_WORD = {  # in the name of a class of a user's own, or of its module, and what it is like then; the first that is there
    "recurrent": "sb3_contrib.common.recurrent.policies.RecurrentActorCriticPolicy",
    "lstm": "sb3_contrib.common.recurrent.policies.RecurrentActorCriticPolicy",
    "mask": "sb3_contrib.common.maskable.policies.MaskableActorCriticPolicy",
    "qrdqn": "sb3_contrib.qrdqn.policies.QRDQNPolicy",
    "dqn": "stable_baselines3.dqn.policies.DQNPolicy",
    "dueling": "stable_baselines3.dqn.policies.DQNPolicy",
    "tqc": "sb3_contrib.tqc.policies.TQCPolicy",
    "crossq": "sb3_contrib.crossq.policies.CrossQPolicy",
    "sac": "stable_baselines3.sac.policies.SACPolicy",
    "td3": "stable_baselines3.td3.policies.TD3Policy",
    "ddpg": "stable_baselines3.td3.policies.TD3Policy",
}


def _alike(path: str) -> str:
    """The class that an unknown one is probably like, for a hint."""
    words = path.lower()
    usual = "stable_baselines3.common.policies.ActorCriticPolicy"
    return next((known for word, known in _BY_WORD.items() if word in words), usual)


def family_of(path: str, custom: Mapping[str, object]) -> Family:
    """What the policy class of that dotted name stands for; `custom` may say which class it is like.

    Raises: FileFormatError naming an unknown class and how to map it.
    """
    alike = custom.get(path, path)
    module, _, name = alike.rpartition(".") if isinstance(alike, str) else ("", "", "")
    if alike == _LINEAR:
        return Family(functools.partial(ars, linear=True), "ReLU", FLATTEN, module, "ARS")
    algorithm, build, activation, classes = _MODULES.get(module, (None, actor_critic, "", ()))
    if name not in classes:
        raise FileFormatError(
            f"the policy class {path[:120]!r} is not known. If it acts as one of Stable-Baselines3's, say which: "
            f"custom={{{path[:120]!r}: {_alike(path)!r}}}."
        )
    extractor = NATURE if "Cnn" in name else COMBINED if "MultiInput" in name else FLATTEN
    return Family(build, activation, extractor, module, algorithm)


def algorithm_of(family: Family, fields: Fields) -> str:
    """No file says which algorithm wrote it; its policy class and its settings do."""
    if "model_class" in fields:
        return "HER"
    if family.algorithm is not None:
        return family.algorithm
    if family.build is deterministic:
        one_critic = fields.mapping("policy_kwargs").get("n_critics") == 1
        return "DDPG" if one_critic and fields.get("policy_delay") == 1 else "TD3"
    for setting, algorithm in (("cg_max_steps", "TRPO"), ("clip_range", "PPO"), ("gae_lambda", "A2C")):
        if setting in fields:
            return algorithm
    return "an on-policy algorithm"
