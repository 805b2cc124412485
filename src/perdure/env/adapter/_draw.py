"""Pictures of the classic control tasks, drawn with numpy alone."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from .._base import AbstractEnv, State
from ..classic_control import Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum

SIZE = 400  # pixels, both ways
BLACK, BLUE, ORANGE, GREY = (40, 40, 40), (55, 110, 190), (220, 130, 40), (150, 150, 150)


class Bar(NamedTuple):
    """A thick line with round ends; a disc where both ends are one point. In units of the picture, 0 to 1, y upwards."""

    start: tuple[float, float]
    end: tuple[float, float]
    radius: float
    colour: tuple[int, int, int]


def paint(bars: list[Bar]) -> UInt8[np.ndarray, "height width 3"]:
    """The bars on white, later ones over earlier ones, edges smoothed over one pixel."""
    ticks = (np.arange(SIZE) + 0.5) / SIZE
    picture = np.full((SIZE, SIZE, 3), 255.0)
    for (x0, y0), (x1, y1), radius, colour in bars:
        columns = pixels(min(x0, x1) - radius, max(x0, x1) + radius)
        rows = pixels(1 - max(y0, y1) - radius, 1 - min(y0, y1) + radius)
        x, y = np.meshgrid(ticks[columns], 1 - ticks[rows])
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-12), 0, 1)
        distance = np.hypot(x - x0 - along * dx, y - y0 - along * dy)
        cover = np.clip((radius - distance) * SIZE + 0.5, 0, 1)[..., None]
        picture[rows, columns] += cover * (np.asarray(colour, float) - picture[rows, columns])
    return picture.round().astype(np.uint8)


def pixels(start: float, end: float) -> slice:
    """The pixels that a stretch touches, and one on either side."""
    return slice(max(int(start * SIZE) - 1, 0), max(int(end * SIZE) + 2, 0))


def cart_pole(env: CartPole, state: np.ndarray) -> list[Bar]:
    x, angle = 0.5 + 0.4 * float(state[0]) / env.position_limit, float(state[2])
    top = x + 0.35 * math.sin(angle), 0.32 + 0.35 * math.cos(angle)
    return [
        Bar((0.0, 0.26), (1.0, 0.26), 0.003, GREY),
        Bar((x - 0.05, 0.3), (x + 0.05, 0.3), 0.03, BLACK),
        Bar((x, 0.32), top, 0.015, ORANGE),
    ]


def pendulum(env: Pendulum, state: np.ndarray) -> list[Bar]:
    angle = float(state[0])
    tip = 0.5 - 0.38 * math.sin(angle), 0.5 + 0.38 * math.cos(angle)
    return [Bar((0.5, 0.5), tip, 0.035, ORANGE), Bar((0.5, 0.5), (0.5, 0.5), 0.015, BLACK)]


def acrobot(env: Acrobot, state: np.ndarray) -> list[Bar]:
    first, second = float(state[0]), float(state[0] + state[1])
    elbow = 0.5 + 0.2 * math.sin(first), 0.5 - 0.2 * math.cos(first)
    tip = elbow[0] + 0.2 * math.sin(second), elbow[1] - 0.2 * math.cos(second)
    line = Bar((0.0, 0.7), (1.0, 0.7), 0.003, GREY)
    return [line, Bar((0.5, 0.5), elbow, 0.025, BLUE), Bar(elbow, tip, 0.025, ORANGE)]


def mountain_car(env: MountainCar | MountainCarContinuous, state: np.ndarray) -> list[Bar]:
    def at(position: float) -> tuple[float, float]:
        return 0.05 + 0.9 * (position + 1.2) / 1.8, 0.4 + 0.25 * math.sin(3 * position)

    track = [at(float(position)) for position in np.linspace(-1.2, 0.6, 40)]
    x, y = at(float(state[0]))
    goal = at(0.45)
    return [
        *(Bar(a, b, 0.004, GREY) for a, b in pairwise(track)),
        Bar(goal, (goal[0], goal[1] + 0.12), 0.006, ORANGE),
        Bar((x, y + 0.03), (x, y + 0.03), 0.03, BLUE),
    ]


SCENES: dict[type[AbstractEnv], Callable[[Any, np.ndarray], list[Bar]]] = {
    CartPole: cart_pole,
    Pendulum: pendulum,
    Acrobot: acrobot,
    MountainCar: mountain_car,
    MountainCarContinuous: mountain_car,
}


def can_draw(env: AbstractEnv) -> bool:
    """True for the classic control tasks, wrapped or not."""
    return type(env.unwrapped) in SCENES


def draw(env: AbstractEnv, state: State) -> UInt8[np.ndarray, "height width 3"]:
    """A picture of the task in `state`, the state of `env` with its wrappers."""
    while hasattr(state, "env_state"):
        state = state.env_state
    return paint(SCENES[type(env.unwrapped)](env.unwrapped, np.asarray(state)))
