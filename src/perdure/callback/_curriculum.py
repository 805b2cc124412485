"""Tasks that become harder: fields of the environment that change between chunks of training."""

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp

from perdure.env.adapter import HostSpec

from ._base import AbstractCallback, Record


def owner_of(env: Any, field: str) -> int:
    """How many wrappers stand around the environment that has the field.

    Raises: ValueError if none has it, naming what there is; TypeError for a field that is no number.
    """
    if isinstance(env, HostSpec):
        raise ValueError(
            f"{env.name} is a host environment, whose fields a curriculum does not reach. Use a native one, or set them with "
            "the environment's own means."
        )
    depth, inner, known = 0, env, list[str]()
    while inner is not None:
        fields = [f.name for f in dataclasses.fields(inner) if not f.metadata.get("static", False)]
        if field in fields:
            if not eqx.is_inexact_array_like(getattr(inner, field)):
                raise TypeError(
                    f"{field} is {getattr(inner, field)!r}, but a curriculum changes floating-point fields."
                )
            return depth
        known += [name for name in fields if name != "env"]
        depth, inner = depth + 1, getattr(inner, "env", None)
    raise ValueError(f"{env.name} has no field {field!r}. It has {', '.join(known) or 'none that can change'}.")


def with_field(env: Any, field: str, value: float) -> Any:
    """The environment with one field changed to an array of float32, also inside wrappers."""

    def where(env: Any) -> Any:
        for _ in range(depth):
            env = env.env
        return getattr(env, field)

    depth = owner_of(env, field)
    return eqx.tree_at(where, env, jnp.asarray(value, jnp.float32))


class AbstractCurriculum(AbstractCallback):
    """Says what some fields should be. They are arrays from the start, so a change compiles nothing anew."""

    @abstractmethod
    def values(self, record: Record) -> Mapping[str, float]:
        """The fields and what they should be now."""

    def new_env(self, record: Record) -> Any:
        env = record.state.env
        for field, value in self.values(record).items():
            env = with_field(env, field, value)
        return env


@final
class ScheduledCurriculum(AbstractCurriculum):
    """Fields as functions of the environment steps taken: `ScheduledCurriculum({"gravity": lambda step: 5 + step / 1e4})`.

    Raises: ValueError at the start of training for a field that the environment does not have.
    """

    def __init__(self, schedules: Mapping[str, Callable[[int], float]], *, frequency: int | None = None):
        self.schedules, self.frequency = dict(schedules), frequency

    def values(self, record: Record) -> Mapping[str, float]:
        return {field: schedule(record.step) for field, schedule in self.schedules.items()}


@final
class AdaptiveCurriculum(AbstractCurriculum):
    """One field that takes the next of `levels` when the mean episode return has reached `target` `patience` times in a row.

    Raises: ValueError for no levels, a target that is not finite or a patience below 1.
    """

    def __init__(
        self, field: str, levels: Sequence[float], *, target: float, patience: int = 3, frequency: int | None = None
    ):
        if not levels:
            raise ValueError("levels is empty, but at least one value is needed.")
        if not math.isfinite(target):
            raise ValueError(f"target={target}, but a return to reach is a finite number.")
        if patience < 1:
            raise ValueError(f"patience={patience}, but at least 1 is needed.")
        self.field, self.levels, self.target, self.patience = field, tuple(levels), target, patience
        self.frequency = frequency
        self.level = 0  # index of the one in force
        self._reached = 0

    def on_chunk(self, record: Record) -> bool:
        mean_return = record.metrics["episode_return"]
        if not math.isnan(mean_return):
            self._reached = self._reached + 1 if mean_return >= self.target else 0
        if self._reached >= self.patience and self.level + 1 < len(self.levels):
            self.level, self._reached = self.level + 1, 0
        return False

    def values(self, record: Record) -> Mapping[str, float]:
        return {self.field: self.levels[self.level]}
