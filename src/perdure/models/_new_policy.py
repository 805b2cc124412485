"""Which policy an algorithm trains: named by kind and role."""

from typing import Any, Literal

import equinox as eqx
from jaxtyping import Array, Key

import perdure.policy
from perdure.algorithm import (
    A2C,
    DDPG,
    DQN,
    PPO,
    QRDQN,
    REINFORCE,
    SAC,
    TD3,
    TQC,
    AbstractAlgorithm,
    DiscreteSAC,
)
from perdure.policy import HasSpaces

Kind = Literal["mlp", "cnn", "recurrent", "liquid"]
KINDS = {"mlp": "MLP", "cnn": "CNN", "recurrent": "Recurrent", "liquid": "Liquid"}
ROLES: dict[type[AbstractAlgorithm], str] = {
    **dict.fromkeys((PPO, A2C, REINFORCE), "ActorCritic"),
    DQN: "Q",
    QRDQN: "QuantileQ",
    **dict.fromkeys((DDPG, TD3), "Deterministic"),
    **dict.fromkeys((SAC, TQC, DiscreteSAC), "SAC"),
}


def new_policy(
    algorithm: type[AbstractAlgorithm], kind: str, env: HasSpaces, *, key: Key[Array, ""], **settings: Any
) -> Any:
    """A fresh policy of that kind, for that algorithm; `settings` are those of the policy class.

    Raises: ValueError for an unknown kind, and what the policy class raises.
    """
    if kind not in KINDS:
        raise ValueError(f"policy={kind!r} is not known. Use one of {', '.join(KINDS)}, or give a policy.")
    policy_class = getattr(perdure.policy, f"{KINDS[kind]}{ROLES[algorithm]}Policy")
    return eqx.filter_jit(lambda key: policy_class(env, **settings, key=key))(key)
