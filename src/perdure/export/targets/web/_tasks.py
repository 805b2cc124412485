"""Which task the page plays: one whose physics it has in JavaScript (`page/tasks.js`), and whose spaces the policy has."""

import functools
from typing import Any

import numpy as np

from perdure.env.classic_control import Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum
from perdure.space import AbstractSpace, Box

TASKS: dict[str, Any] = {
    "CartPole-v1": CartPole,
    "Pendulum-v1": Pendulum,
    "MountainCar-v0": MountainCar,
    "MountainCarContinuous-v0": MountainCarContinuous,
    "Acrobot-v1": Acrobot,
}
UNBOUNDED = 1e30  # older versions of Gym wrote the largest float32 for infinity


def is_same(a: AbstractSpace, b: AbstractSpace) -> bool:
    """Whether the spaces hold the same values; bounds may differ by rounding."""
    if not (isinstance(a, Box) and isinstance(b, Box)):
        return a == b
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    sides = [
        [np.where(np.abs(x) > UNBOUNDED, np.sign(x) * np.inf, x) for x in (space.low, space.high)] for space in (a, b)
    ]
    return bool(np.allclose(sides[0], sides[1], rtol=1e-4))


@functools.cache
def spaces_of(task: str) -> tuple[AbstractSpace, AbstractSpace]:
    env = TASKS[task]()
    return env.observation_space, env.action_space


def task_of(observation_space: AbstractSpace, action_space: AbstractSpace, environment: str | None) -> str | None:
    """The task to play: the one that is named, else the one that has just these spaces; None for sliders."""
    names = TASKS if environment is None else [environment] if environment in TASKS else []
    for name in names:
        observation, action = spaces_of(name)
        if is_same(observation_space, observation) and is_same(action_space, action):
            return name
    return None
