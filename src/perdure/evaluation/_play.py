"""Episodes that an exported program, a function of arrays by name, plays in an environment: what it meets and earns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jax import random as jr

from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv
from perdure.space import assemble, flatten_value

MAX_STEPS = 1000  # of an episode
KEPT_BYTES = 64 * 2**20  # of inputs; past that every second step is dropped
Arrays = dict[str, np.ndarray]  # by the names of a program's inputs or outputs, with a batch axis
Act = Callable[[Arrays], Arrays]
Random = np.random.Generator


@runtime_checkable
class Draws(Protocol):
    """What an input is drawn from."""

    def sample(self, count: int, random: Random, /) -> np.ndarray: ...


@runtime_checkable
class PlayedPort(Protocol):
    """An input or output of a program, of one observation."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...
    @property
    def noise(self) -> Draws | None: ...


@runtime_checkable
class PlayedSignature(Protocol):
    """What a program takes and gives: observations, `action_mask`, noise and memory in; actions and `next_<memory>` out."""

    @property
    def inputs(self) -> Sequence[PlayedPort]: ...
    @property
    def actions(self) -> Sequence[PlayedPort]: ...
    @property
    def initial_state(self) -> Mapping[str, np.ndarray]: ...


class NativeEpisodes:
    """Environments of ours side by side, stepped as a `HostEnv` is."""

    def __init__(self, env: AbstractEnv, num_envs: int):
        self.env, self.num_envs = env, num_envs
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.start = jax.jit(jax.vmap(lambda key: env.reset(key=key)))
        self.advance = jax.jit(jax.vmap(lambda state, action, key: env.step(state, action, key=key)))
        self.state: Any = None

    def reset(self, *, seed: int) -> Any:
        self.key, key = jr.split(jr.key(seed))
        self.state, observation = self.start(jr.split(key, self.num_envs))
        return observation

    def step(self, action: Any) -> Any:
        self.key, key = jr.split(self.key)
        step = self.advance(self.state, action, jr.split(key, self.num_envs))
        self.state = step.state
        return step

    @property
    def action_mask(self) -> Any:
        return jax.vmap(self.env.action_mask)(self.state)


class Kept:
    """Rows of all inputs, evenly from all steps."""

    def __init__(self) -> None:
        self.steps: list[Arrays] = []
        self.every, self.seen, self.bytes = 1, 0, 0

    def add(self, rows: Arrays) -> None:
        if self.seen % self.every == 0:
            self.steps.append(rows)
            self.bytes += sum(x.nbytes for x in rows.values())
        self.seen += 1
        if self.bytes > KEPT_BYTES:
            self.steps, self.every = self.steps[::2], self.every * 2
            self.bytes = sum(x.nbytes for step in self.steps for x in step.values())

    def rows(self) -> Arrays:
        return {name: np.concatenate([step[name] for step in self.steps]) for name in self.steps[0]}


def mask_rows(port: PlayedPort, mask: Any, count: int) -> np.ndarray:
    return np.ones((count, *port.shape), bool) if mask is None else np.asarray(mask, bool)


def observed(
    sign: PlayedSignature, batch: "HostEnv | NativeEpisodes", observation: Any, memory: Arrays, random: Random
) -> Arrays:
    """The rows that a program is asked with; noise is drawn anew at every step."""
    parts = iter(flatten_value(batch.observation_space, observation))
    rows = {}
    for port in sign.inputs:
        if port.name == "action_mask":
            rows[port.name] = mask_rows(port, batch.action_mask, batch.num_envs)
        elif port.noise is not None:
            rows[port.name] = port.noise.sample(batch.num_envs, random)
        else:
            rows[port.name] = memory[port.name] if port.name in memory else np.asarray(next(parts), port.dtype)
    return rows


def wave(sign: PlayedSignature, act: Act, batch: "HostEnv | NativeEpisodes", kept: Kept, seed: int) -> np.ndarray:
    """One episode in each environment; their returns."""
    count, random = batch.num_envs, np.random.default_rng(seed)
    memory = {name: np.repeat(x[None], count, 0) for name, x in sign.initial_state.items()}
    observation, total, is_playing = batch.reset(seed=seed), np.zeros(count), np.ones(count, bool)
    for _ in range(MAX_STEPS):
        rows = observed(sign, batch, observation, memory, random)
        kept.add({name: x[is_playing] for name, x in rows.items()})
        answer = act(rows)
        memory = {name: answer[f"next_{name}"] for name in memory}
        step = batch.step(assemble(batch.action_space, iter([answer[port.name] for port in sign.actions])))
        observation = step.observation
        total += np.where(is_playing, np.asarray(step.reward), 0)
        is_playing &= ~np.asarray(step.terminated | step.truncated)
        if not is_playing.any():
            break
    return total


def play(
    sign: PlayedSignature, act: Act, env: AbstractEnv | HostEnv, num_episodes: int, seed: int = 0
) -> tuple[Arrays, np.ndarray]:
    """The rows that `act` was asked with, and the undiscounted return of each episode. The seed says where they start."""
    batch = env if isinstance(env, HostEnv) else NativeEpisodes(env, num_episodes)
    kept, returns = Kept(), np.zeros(0)
    while len(returns) < num_episodes:
        returns = np.concatenate([returns, wave(sign, act, batch, kept, seed + len(returns))])
    return kept.rows(), returns[:num_episodes]
