"""Agents: one object with `train`, `predict`, `evaluate`, `save`, `load`, `export`, the same for every algorithm.

There is one for each algorithm of `perdure.algorithm`, of the same name: `from perdure.models import PPO`. That of an
algorithm of your own is `agent_class(MyAlgorithm)`.
"""

import perdure.algorithm
from perdure.algorithm import registered_algorithms

from ._agent import Agent as Agent, AlgorithmAgent as AlgorithmAgent, agent_class as agent_class
from ._base import AbstractAgent as AbstractAgent
from ._environment import as_env as as_env
from ._liquid import LiquidDDPG as LiquidDDPG, LiquidPPO as LiquidPPO, LiquidSAC as LiquidSAC
from ._new_policy import new_policy as new_policy


def _ours() -> dict[str, type[perdure.algorithm.AbstractAlgorithm]]:
    """The algorithms of `perdure.algorithm` by the names of their classes."""
    found = registered_algorithms().values()
    return {cls.__name__: cls for cls in found if getattr(perdure.algorithm, cls.__name__, None) is cls}


def __getattr__(name: str) -> type[AlgorithmAgent]:
    if name in (ours := _ours()):
        return agent_class(ours[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ours()})
