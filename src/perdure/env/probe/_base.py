"""What the probe environments share: short episodes around one random sign, and the numbers a correct learner finds."""

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Int, Key

from perdure._core import Action, register
from perdure.space import Box, Discrete

from .._base import AbstractEnv, TimeStep


@register(name="probe.ProbeState")
class ProbeState(NamedTuple):
    sign: Float[Array, ""]  # -1 or 1, each with probability 1/2, drawn once an episode
    steps: Int[Array, ""]  # taken in this episode


class AbstractProbe(AbstractEnv):
    """A task so small that its solution is known exactly. Each tests one skill that the ones before it do not need.

    Train a learner on it, then compare: `value(observation)` with `expected_value(state, discount)`, and the
    deterministic action with `expected_action(state)`, at the states that `reset` and `step` give.

    Source: Jones 2021, "Debugging RL, Without the Agonizing Pain", https://andyljones.com/posts/rl-debugging.html.
    """

    length: ClassVar[int] = 1  # steps in an episode
    continuous: bool = eqx.field(static=True, default=False)  # act in Box(-1, 1, (1,)) instead of Discrete(2)

    @property
    def observation_space(self) -> Box:
        return Box(-1, 1, (1,))

    @property
    def action_space(self) -> Box | Discrete:
        return Box(-1, 1, (1,)) if self.continuous else Discrete(2)

    def reset(self, *, key: Key[Array, ""]) -> tuple[ProbeState, Float[Array, " size"]]:
        sign = jnp.where(jr.bernoulli(key), 1, -1).astype(jnp.float32)
        state = ProbeState(sign, jnp.zeros((), jnp.int32))
        return state, self.observe(state)

    def step(self, state: ProbeState, action: Action, *, key: Key[Array, ""]) -> TimeStep:
        successor = state._replace(steps=state.steps + 1)
        over = successor.steps >= self.length
        return TimeStep(successor, self.observe(successor), self.reward(state, action), over, jnp.zeros((), bool))

    @abstractmethod
    def observe(self, state: ProbeState) -> Float[Array, " size"]:
        """What is shown in `state`."""

    @abstractmethod
    def reward(self, state: ProbeState, action: Action) -> Float[Array, ""]:
        """What `action` earns in `state`."""

    @abstractmethod
    def expected_value(self, state: ProbeState, discount: float) -> Float[Array, ""]:
        """What a correct critic says in `state` once the policy is the best one."""

    def expected_action(self, state: ProbeState) -> Action | None:
        """The best action in `state`; None where all are equally good."""
        return None
