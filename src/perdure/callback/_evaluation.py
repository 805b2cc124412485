"""Evaluation while training, and the best policy so far."""

import math
from pathlib import Path
from typing import NamedTuple, final

import jax
import numpy as np
from jax import random as jr
from jaxtyping import Array, Key

from perdure._core import check_counts, owned
from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv, HostSpec
from perdure.evaluation import evaluate
from perdure.policy import AbstractPolicy, check_same_spaces

from ._base import AbstractCallback, Record


class Evaluated(NamedTuple):
    step: int
    mean_return: float


def check_is_another(env: AbstractEnv | HostEnv, record: Record) -> None:
    """Check that a host environment is not the one that is trained on, which stands where the training state says.

    Raises: ValueError if it is: every episode played on it would tear one of the training's apart.
    """
    if isinstance(env, HostEnv) and isinstance(record.state.env, HostSpec) and env.observation is not None:
        ours, theirs = jax.tree.leaves(env.observation), jax.tree.leaves(record.state.rollout.observation)
        if len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs)):
            raise ValueError(f"env is the {env.name} that is trained on. Make another one for the callback.")


@final
class EvalCallback(AbstractCallback):
    """Plays `num_episodes` with the best actions every `frequency` environment steps, and keeps the best policy.

    `history` has every evaluation, `best_policy` and `best_return` what did best; with `path` it is saved there as `.eqx`
    each time (see `perdure.utils.Serializable`). The episodes are the same every time, and training is the same as without.
    `env` is one of ours or a `HostEnv`, and then another one than that of training. What is kept goes on over several
    trainings.

    Raises: ValueError for numbers below 1, TypeError for another kind of environment; at the start of training ValueError if
    the policy is for other spaces, or for the training's own host environment.
    """

    def __init__(
        self,
        env: AbstractEnv | HostEnv,
        *,
        frequency: int = 10_000,
        num_episodes: int = 20,
        path: str | Path | None = None,
        key: Key[Array, ""] | None = None,
    ):
        check_counts(frequency=frequency, num_episodes=num_episodes)
        if not isinstance(env, AbstractEnv | HostEnv):
            raise TypeError(
                f"env is {type(env).__name__}, but an environment of perdure.env or a HostEnv is needed. Wrap one of "
                "Gymnasium's: perdure.env.adapter.HostEnv(env)."
            )
        self.env, self.frequency, self.num_episodes, self.path = env, frequency, num_episodes, path
        self.key = jr.key(0) if key is None else key
        self.history: list[Evaluated] = []
        self.best_policy: AbstractPolicy | None = None
        self.best_return = float("-inf")

    def on_start(self, record: Record) -> None:
        check_same_spaces(record.state.policy, self.env)
        check_is_another(self.env, record)

    def on_chunk(self, record: Record) -> bool:
        policy = record.state.policy
        mean = float(evaluate(policy, self.env, num_episodes=self.num_episodes, key=self.key).mean())
        self.history.append(Evaluated(record.step, mean))
        if math.isfinite(mean) and mean > self.best_return:
            self.best_return = mean
            self.best_policy = best = owned(policy)  # training goes on in the memory of its state
            if self.path is not None:
                best.serialize(self.path)
        return False
