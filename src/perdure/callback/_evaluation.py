"""Evaluation while training, and the best policy so far."""

from pathlib import Path
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Key

from perdure.evaluation import evaluate

from ._base import AbstractCallback, Record


class Evaluated(NamedTuple):
    step: int
    mean_return: float


@final
class EvalCallback(AbstractCallback):
    """Plays `num_episodes` with the best actions every `frequency` environment steps, and keeps the best policy.

    `history` has every evaluation, `best_policy` and `best_return` what did best; with `path` it is saved there as `.eqx`
    each time (see `perdure.utils.Serializable`). The episodes are the same every time, and training is the same as without.
    `env` may be any that `perdure.evaluation.evaluate` takes; a host environment must be another one than that of training.

    Raises: ValueError for numbers below 1.
    """

    def __init__(
        self,
        env: Any,
        *,
        frequency: int = 10_000,
        num_episodes: int = 20,
        path: str | Path | None = None,
        key: Key[Array, ""] | None = None,
    ):
        for name, value in (("frequency", frequency), ("num_episodes", num_episodes)):
            if value < 1:
                raise ValueError(f"{name}={value}, but at least 1 is needed.")
        self.env, self.frequency, self.num_episodes, self.path = env, frequency, num_episodes, path
        self.key = jr.key(0) if key is None else key
        self.history: list[Evaluated] = []
        self.best_policy: Any = None
        self.best_return = float("-inf")

    def on_chunk(self, record: Record) -> bool:
        policy = record.state.policy
        mean = float(evaluate(policy, self.env, num_episodes=self.num_episodes, key=self.key).mean())
        self.history.append(Evaluated(record.step, mean))
        if mean > self.best_return:
            self.best_return = mean
            # training goes on in the memory of its state, so what is kept has to be a copy
            self.best_policy = jax.tree.map(lambda x: jnp.copy(x) if eqx.is_array(x) else x, policy)
            if self.path is not None:
                self.best_policy.serialize(self.path)
        return False
