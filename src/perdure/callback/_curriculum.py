"""Tasks that become harder: fields of the environment that change between chunks of training."""

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from perdure._core import check_counts
from perdure.env import AbstractEnv
from perdure.env.adapter import HostSpec

from ._base import AbstractCallback, Record


def way_to(env: AbstractEnv, field: str) -> tuple[str, ...]:
    """The attributes that lead from `env` to a number of it or of what it wraps; the outermost of that name.

    Parts before a dot are followed as they are: `env.env.length` is that of what is wrapped twice.

    Raises: ValueError if there is none, naming what there is; TypeError for a field that is no floating-point number.
    """
    if isinstance(env, HostSpec):
        raise ValueError(
            f"{env.name} is a host environment, whose fields a curriculum does not reach. Use a native one, or set them with "
            "the environment's own means."
        )
    *parts, name = field.split(".")
    inner: object = env
    way, known = list[str](), list[str]()
    for part in parts:
        inner = getattr(inner, part, None)
        way.append(part)
    while dataclasses.is_dataclass(inner):
        fields = [f.name for f in dataclasses.fields(inner) if not f.metadata.get("static", False)]
        if name in fields:
            value = getattr(inner, name)
            if not eqx.is_inexact_array_like(value) or np.shape(value):
                raise TypeError(
                    f"{field} is {eqx.tree_pformat(value)}, but a curriculum changes floating-point numbers."
                )
            return (*way, name)
        known += [name for name in fields if name != "env"]
        inner, way = getattr(inner, "env", None), [*way, "env"]
    raise ValueError(f"{env.name} has no field {field!r}. It has {', '.join(known) or 'no number there'}.")


def follow(env: AbstractEnv, way: Sequence[str]) -> Any:
    """What the attributes lead to, one after the other."""
    return reduce(getattr, way, env)


def with_field(env: AbstractEnv, field: str, value: float) -> AbstractEnv:
    """The environment with one field changed to an array of float32; see `way_to`.

    Raises: ValueError for a value that is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"The curriculum gives {field}={value}. Environments need finite numbers.")
    way = way_to(env, field)
    return eqx.tree_at(lambda env: follow(env, way), env, jnp.asarray(value, jnp.float32))


class AbstractCurriculum(AbstractCallback):
    """Says what some fields should be. They are arrays from the start, so a change compiles nothing anew.

    A field is that of the environment or of what it wraps, whichever comes first from outside, or a path such as
    `env.length`. A policy keeps the bounds of the spaces that it was made for.

    Raises: at the start of training, ValueError for a field that is not there or a host environment, TypeError for a field
    that is no floating-point number; ValueError for a value that is not finite.
    """

    @abstractmethod
    def values(self, record: Record) -> Mapping[str, float]:
        """The fields and what they should be now."""

    def new_env(self, record: Record) -> AbstractEnv:
        env = record.state.env
        for field, value in self.values(record).items():
            env = with_field(env, field, value)
        return env


@final
class ScheduledCurriculum(AbstractCurriculum):
    """Fields as functions of the environment steps taken: `ScheduledCurriculum({"gravity": lambda step: 5 + step / 1e4})`.

    A schedule is asked for multiples of `frequency` alone, 0 among them, so it is followed to the bit by a training that was
    stopped in between and resumed.

    Raises: ValueError for a frequency below 1; see `AbstractCurriculum`.
    """

    def __init__(self, schedules: Mapping[str, Callable[[int], float]], *, frequency: int = 10_000):
        check_counts(frequency=frequency)
        self.schedules, self.every, self.frequency = dict(schedules), frequency, frequency

    def values(self, record: Record) -> Mapping[str, float]:
        step = record.step // self.every * self.every
        return {field: float(schedule(step)) for field, schedule in self.schedules.items()}


@final
class AdaptiveCurriculum(AbstractCurriculum):
    """One field that takes the next of `levels` when the mean episode return has reached `target` `patience` times in a row.

    The mean is over the episodes of `frequency` environment steps each time. A resumed training goes on at the level that its
    environment has, and begins to count anew; one whose environment has had no curriculum yet begins at the first level.

    Raises: ValueError for no levels, levels that repeat, a target that is not finite, a patience or frequency below 1; see
    `AbstractCurriculum`.
    """

    def __init__(
        self, field: str, levels: Sequence[float], *, target: float, patience: int = 3, frequency: int = 10_000
    ):
        if not levels:
            raise ValueError("levels is empty, but at least one value is needed.")
        self.levels = tuple(float(np.float32(level)) for level in levels)  # as the environment holds them
        if len(set(self.levels)) < len(self.levels):
            raise ValueError(f"levels={tuple(levels)}, but each must differ: by its value a training is resumed.")
        if not math.isfinite(target):
            raise ValueError(f"target={target}, but a return to reach is a finite number.")
        check_counts(patience=patience, frequency=frequency)
        self.field, self.target, self.patience, self.frequency = field, target, patience, frequency
        self.level = 0  # index of the one in force
        self._reached = 0

    def on_start(self, record: Record) -> None:
        value = follow(record.state.env, way_to(record.state.env, self.field))
        has_begun = isinstance(value, jax.Array) and float(value) in self.levels  # until then it is a Python number
        self.level, self._reached = self.levels.index(float(value)) if has_begun else 0, 0

    def on_chunk(self, record: Record) -> bool:
        mean_return = record.metrics["episode_return"]
        if not math.isnan(mean_return):
            self._reached = self._reached + 1 if mean_return >= self.target else 0
        if self._reached >= self.patience and self.level + 1 < len(self.levels):
            self.level, self._reached = self.level + 1, 0
        return False

    def values(self, record: Record) -> Mapping[str, float]:
        return {self.field: self.levels[self.level]}
