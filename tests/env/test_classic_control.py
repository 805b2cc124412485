"""Each classic task is the one of Gymnasium, step by step, and starts as it does."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.env import AbstractEnv, make
from perdure.env.classic_control import Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum
from perdure.space import from_gymnasium

gymnasium = pytest.importorskip("gymnasium", reason="compares with the real Gymnasium (extra gym)")

TRANSITIONS = 10_000
TOLERANCE = 1e-5  # relative to max(1, |x|); float32 against float64
ROUNDING = 1e-5  # how near a threshold float32 and float64 may disagree about a flag


class Task(NamedTuple):
    name: str
    env: AbstractEnv
    states: Callable[[np.random.Generator], np.ndarray]  # (TRANSITIONS, state), float32
    margin: Callable[[np.ndarray], np.ndarray]  # Gymnasium's next states -> distance to a threshold
    settings: tuple[tuple[str, Any], ...] = ()  # attributes to set on Gymnasium's environment


def spread(rng: np.random.Generator, low: list[float], high: list[float], edges: list[list[float]]) -> np.ndarray:
    """Uniform states; in half of them one entry lies within 1e-3 of one of its `edges`."""
    states = rng.uniform(low, high, (TRANSITIONS, len(low)))
    for row in range(0, TRANSITIONS, 2):
        column = int(rng.choice([i for i, values in enumerate(edges) if values]))
        near = rng.choice(edges[column]) + rng.uniform(-1e-3, 1e-3)
        states[row, column] = np.clip(near, low[column], high[column])
    return states.astype(np.float32)


def cart_pole_states(rng: np.random.Generator) -> np.ndarray:
    angle = 12 * 2 * np.pi / 360
    low = [-2.4, -3.0, -angle, -4.0]
    return spread(rng, low, [-x for x in low], [[-2.4, 2.4], [], [-angle, angle], []])


def cart_pole_margin(states: np.ndarray) -> np.ndarray:
    return np.minimum(abs(abs(states[:, 0]) - 2.4), abs(abs(states[:, 2]) - 12 * 2 * np.pi / 360))


def acrobot_states(rng: np.random.Generator) -> np.ndarray:
    high = [np.pi, np.pi, 2 * np.pi, 4.5 * np.pi]  # half the greatest velocities; the rest has its own test below
    return spread(rng, [-x for x in high], high, [[-np.pi, 0, np.pi]] * 2 + [[], []])


def acrobot_margin(states: np.ndarray) -> np.ndarray:
    return abs(-np.cos(states[:, 0]) - np.cos(states[:, 0] + states[:, 1]) - 1)


def mountain_car_states(rng: np.random.Generator) -> np.ndarray:
    return spread(rng, [-1.2, -0.07], [0.6, 0.07], [[-1.2, 0.45, 0.5, 0.6], [-0.07, 0, 0.07]])


def mountain_car_margin(goal: float) -> Callable[[np.ndarray], np.ndarray]:
    def margin(states: np.ndarray) -> np.ndarray:
        position, velocity = states.T
        # The goal takes a position and a velocity, so only the one that decides can be a tie.
        return np.minimum(
            np.where(velocity >= -ROUNDING, abs(position - goal), np.inf),
            np.where(position >= goal - ROUNDING, abs(velocity), np.inf),
        )

    return margin


def pendulum_states(rng: np.random.Generator) -> np.ndarray:
    return spread(rng, [-np.pi, -8.0], [np.pi, 8.0], [[-np.pi, 0, np.pi], [-8, 8]])


def never(states: np.ndarray) -> np.ndarray:
    return np.full(len(states), np.inf)


SEMI_IMPLICIT = "semi-implicit euler"
TASKS = [
    Task("CartPole-v1", CartPole(), cart_pole_states, cart_pole_margin),
    Task(
        "CartPole-v1",
        CartPole(kinematics_integrator=SEMI_IMPLICIT),
        cart_pole_states,
        cart_pole_margin,
        (("kinematics_integrator", SEMI_IMPLICIT),),
    ),
    Task("Acrobot-v1", Acrobot(), acrobot_states, acrobot_margin),
    Task("MountainCar-v0", MountainCar(), mountain_car_states, mountain_car_margin(0.5)),
    Task("MountainCarContinuous-v0", MountainCarContinuous(), mountain_car_states, mountain_car_margin(0.45)),
    Task("Pendulum-v1", Pendulum(), pendulum_states, never),
]
NAMES = sorted({task.name for task in TASKS})


def random_actions(env: AbstractEnv) -> np.ndarray:
    """Uniform; continuous ones also half as far again beyond their bounds, which the environments clip."""
    actions = np.asarray(jax.vmap(lambda key: env.action_space.sample(key=key))(jr.split(jr.key(1), TRANSITIONS)))
    return actions if actions.dtype.kind == "i" else actions * np.float32(1.5)


def gymnasium_steps(task: Task, states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, ...]:
    """Observation, reward, terminated, truncated and next state of every transition, in float64 arithmetic."""
    env = gymnasium.make(task.name).unwrapped
    for name, value in task.settings:
        setattr(env, name, value)
    env.reset(seed=0)
    rows = []
    for state, action in zip(states.astype(np.float64), actions, strict=True):
        env.state = state
        if hasattr(env, "steps_beyond_terminated"):
            env.steps_beyond_terminated = None
        observation, reward, terminated, truncated, _ = env.step(action if action.ndim else int(action))
        rows.append((observation, reward, terminated, truncated, np.asarray(env.state)))
    return tuple(np.stack([np.asarray(row[i]) for row in rows]) for i in range(5))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.name}{'-semi-implicit' if task.settings else ''}")
def test_ten_thousand_transitions_equal_gymnasium(task: Task) -> None:
    states, actions = task.states(np.random.default_rng(0)), random_actions(task.env)
    observation, reward, terminated, truncated, next_state = gymnasium_steps(task, states, actions)

    ours = jax.jit(jax.vmap(lambda s, a: task.env.step(s, a, key=jr.key(0))))(states, actions)

    clear = task.margin(next_state) > ROUNDING  # elsewhere the two precisions may fall on different sides
    assert clear.mean() > 0.99
    error = abs(ours.observation - observation) / np.maximum(1, abs(observation))
    assert error.max() < TOLERANCE
    assert np.array_equal(ours.terminated[clear], terminated[clear])
    assert np.array_equal(ours.truncated, truncated)
    reward_error = abs(ours.reward - reward)[clear] / np.maximum(1, abs(reward[clear]))
    assert reward_error.max() <= (TOLERANCE if actions.ndim == 2 else 0)


@pytest.mark.parametrize("task", TASKS[:1] + TASKS[2:5], ids=lambda task: task.name)
def test_the_compared_transitions_hold_both_endings(task: Task) -> None:
    states, actions = task.states(np.random.default_rng(0)), random_actions(task.env)
    terminated = jax.vmap(lambda s, a: task.env.step(s, a, key=jr.key(0)))(states, actions).terminated
    assert 0.01 < float(terminated.mean()) < 0.99


@pytest.mark.parametrize("name", NAMES)
def test_first_observations_are_distributed_as_gymnasiums(name: str) -> None:
    env, theirs = make(name), gymnasium.make(name)
    _, ours = jax.vmap(lambda key: env.reset(key=key))(jr.split(jr.key(3), 4000))
    other = np.stack([theirs.reset(seed=None if i else 0)[0] for i in range(4000)])
    scale = other.std(0) + 1e-12
    # The mean of 4000 draws has a standard error of scale / 63, and so has a difference of two within sqrt(2).
    assert (abs(np.mean(ours, 0) - other.mean(0)) < 5 * 1.5 * scale / 63 + 1e-7).all()
    assert (abs(np.std(ours, 0) - other.std(0)) < 0.1 * scale + 1e-7).all()
    assert (abs(np.min(ours, 0) - other.min(0)) < 0.05 * scale + 1e-7).all()
    assert (abs(np.max(ours, 0) - other.max(0)) < 0.05 * scale + 1e-7).all()


@pytest.mark.parametrize(
    ("env", "low", "high"),
    [
        (CartPole(), [-0.05] * 4, [0.05] * 4),
        (Acrobot(), [-0.1] * 4, [0.1] * 4),
        (MountainCar(), [-0.6, 0], [-0.4, 0]),
        (MountainCarContinuous(), [-0.6, 0], [-0.4, 0]),
        (Pendulum(), [-np.pi, -1], [np.pi, 1]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_first_states_are_uniform_between_their_bounds(env: AbstractEnv, low: list[float], high: list[float]) -> None:
    state, _ = jax.vmap(lambda key: env.reset(key=key))(jr.split(jr.key(4), 10_000))
    low_, high_ = np.float32(low), np.float32(high)
    assert (np.asarray(state) >= low_).all()
    assert (np.asarray(state) <= high_).all()
    # Uniform: mean (low + high) / 2 with a standard error of width / sqrt(12 n), variance width^2 / 12.
    width = high_ - low_
    assert (abs(np.mean(state, 0) - (low_ + high_) / 2) <= 5 * width / np.sqrt(12e4) + 1e-6).all()
    assert (abs(np.var(state, 0) - width**2 / 12) <= 0.05 * width**2 / 12 + 1e-9).all()
    correlation = np.corrcoef(np.asarray(state)[:, width > 0].T)
    assert abs(np.atleast_2d(correlation) - np.eye(int((width > 0).sum()))).max() < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_spaces_are_gymnasiums(name: str) -> None:
    env, theirs = make(name), gymnasium.make(name)
    assert env.observation_space == from_gymnasium(theirs.observation_space)
    assert env.action_space == from_gymnasium(theirs.action_space)


@pytest.mark.parametrize("name", NAMES)
def test_time_limits_are_gymnasiums(name: str) -> None:
    assert make(name).max_episode_steps == gymnasium.spec(name).max_episode_steps


def relative_error(ours: Any, theirs: np.ndarray) -> np.ndarray:
    """The worst entry of each row, relative to max(1, |x|), angles (the first two entries of four) modulo a turn."""
    difference = np.asarray(ours, np.float64) - theirs
    difference[:, :2] = (difference[:, :2] + np.pi) % (2 * np.pi) - np.pi
    return (abs(difference) / np.maximum(1, abs(theirs))).max(1)


def test_the_fastest_acrobots_differ_by_no_more_than_rounding_explains() -> None:
    # Near the greatest velocities a Runge-Kutta step of 0.2 s is so badly conditioned that rounding a state to float32
    # moves the float64 result by up to 5e-4. There the error is held against that movement instead of 1e-5.
    rng, task = np.random.default_rng(5), next(task for task in TASKS if task.name == "Acrobot-v1")
    fastest = rng.choice([-1, 1], (1000, 2)) * rng.uniform(0.8, 1, (1000, 2)) * [4 * np.pi, 9 * np.pi]
    states = np.concatenate([rng.uniform(-np.pi, np.pi, (1000, 2)), fastest], 1).astype(np.float32)
    actions = random_actions(task.env)[:1000]
    _, _, _, _, exact = gymnasium_steps(task, states, actions)

    moved = np.zeros(1000)
    for column in range(4):
        nearby = states.astype(np.float64)
        nearby[:, column] += np.spacing(abs(states[:, column])) / 2
        moved += relative_error(gymnasium_steps(task, nearby, actions)[4], exact)
    ours = jax.vmap(lambda s, a: task.env.step(s, a, key=jr.key(0)))(states, actions)

    assert (abs(ours.state[:, 2]) <= np.float32(4 * np.pi)).all()
    assert (abs(ours.state[:, 3]) <= np.float32(9 * np.pi)).all()
    assert moved.max() > TOLERANCE
    error = relative_error(ours.state, exact)
    assert (error < np.maximum(TOLERANCE, 10 * moved)).all()


def test_pendulum_costs_are_right_for_angles_beyond_a_turn() -> None:
    env, theirs = Pendulum(), gymnasium.make("Pendulum-v1").unwrapped
    theirs.reset(seed=0)
    theirs.state = np.array([7.0, 1.0])  # 7 - 2 pi = 0.7168 rad: 0.5138 + 0.1 + 0.001 = 0.6148
    step = env.step(jnp.float32([7.0, 1.0]), jnp.float32([1.0]), key=jr.key(0))
    assert float(step.reward) == pytest.approx(-0.6148, abs=1e-4)
    assert float(step.reward) == pytest.approx(theirs.step(np.float32([1.0]))[1], abs=1e-5)


def test_an_unknown_integrator_is_refused() -> None:
    with pytest.raises(ValueError, match=r"CartPole.kinematics_integrator = 'leapfrog'. Choose 'euler'"):
        CartPole(kinematics_integrator="leapfrog")
