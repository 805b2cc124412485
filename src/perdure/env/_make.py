"""Environments by name."""

import dataclasses
import difflib
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from ._base import AbstractEnv
from .classic_control import Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum
from .wrapper import TimeLimit


class Registration(NamedTuple):
    build: Callable[..., AbstractEnv]  # takes the settings
    max_episode_steps: int | None  # None: no limit


_registrations = {
    "Acrobot-v1": Registration(Acrobot, 500),
    "CartPole-v1": Registration(CartPole, 500),
    "MountainCar-v0": Registration(MountainCar, 200),
    "MountainCarContinuous-v0": Registration(MountainCarContinuous, 999),
    "Pendulum-v1": Registration(Pendulum, 200),
}


def registered_environments() -> dict[str, Registration]:
    """What `make` can build, by name, in alphabetical order."""
    return dict(sorted(_registrations.items()))


def register_environment(name: str, build: Callable[..., AbstractEnv], *, max_episode_steps: int | None = None) -> None:
    """Let `make(name, **settings)` give `build(**settings)`, with a time limit if there is one.

    Raises: ValueError if the name is taken by something else.
    """
    registration = Registration(build, max_episode_steps)
    if _registrations.setdefault(name, registration) != registration:
        raise ValueError(f"The environment name {name!r} is taken. Choose another, such as a new version.")


def make(name: str, *, max_episode_steps: int | None = None, **settings: Any) -> AbstractEnv:
    """The environment of that name with its usual time limit, as `gymnasium.make` gives it.

    `max_episode_steps` replaces the usual limit; the other `settings` are fields of the environment, as in
    `make("CartPole-v1", gravity=1.6)`. The class itself, `CartPole()`, has no limit.

    Raises: ValueError for an unknown name, TypeError for an unknown setting.
    """
    if name not in _registrations:
        raise ValueError(f"There is no environment {name!r}.{_did_you_mean(name, _registrations)}")
    build, usual_limit = _registrations[name]
    if dataclasses.is_dataclass(build):
        fields = [field.name for field in dataclasses.fields(build)]
        for setting in settings:
            if setting not in fields:
                raise TypeError(f"{name} has no setting {setting!r}.{_did_you_mean(setting, fields)}")
    env = build(**settings)
    limit = usual_limit if max_episode_steps is None else max_episode_steps
    return env if limit is None else TimeLimit(env, limit)


def _did_you_mean(wanted: str, names: Collection[str]) -> str:
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(wanted.lower(), by_lower, n=1)
    question = f" Did you mean {by_lower[close[0]]!r}?" if close else ""
    return f"{question} Known: {', '.join(sorted(names))}."
