"""What an environment is: a pure task of `reset` and `step`, whose state is passed in and handed back.

The physical parameters of an environment are the fields of its module; nothing in it changes. A function takes one
environment, callers `jax.vmap` over states and keys.
"""

from abc import abstractmethod
from typing import NamedTuple, TypeAlias

import equinox as eqx
from jaxtyping import Array, Bool, Float, Key, PyTree

from perdure._core import Action, Observation, select
from perdure.space import AbstractSpace

State: TypeAlias = PyTree  # a tree of arrays of fixed shapes and dtypes: a module, a NamedTuple or one array


class TimeStep(NamedTuple):
    """What one step gives. `observation` is the one that the action led to, also when the episode ends with it."""

    state: State
    observation: Observation
    reward: Float[Array, ""]  # float32
    terminated: Bool[Array, ""]  # the task ended: nothing can be earned any more
    truncated: Bool[Array, ""]  # the episode is cut short by a limit that is no part of the task; both flags may be set


class AbstractEnv(eqx.Module):
    """A task. Subclasses give two spaces, `reset` and `step`; all of them work inside jit, vmap and scan."""

    @property
    def name(self) -> str:
        """What tables and file names call this task."""
        return type(self).__name__

    @property
    @abstractmethod
    def observation_space(self) -> AbstractSpace:
        """What `reset` and `step` may show."""

    @property
    @abstractmethod
    def action_space(self) -> AbstractSpace:
        """What `step` takes."""

    @abstractmethod
    def reset(self, *, key: Key[Array, ""]) -> tuple[State, Observation]:
        """`(state, observation)` at the start of an episode."""

    @abstractmethod
    def step(self, state: State, action: Action, *, key: Key[Array, ""]) -> TimeStep:
        """What `action` leads to. Does not reset: after the end of an episode call `autoreset`."""

    def restart(self, state: State, *, key: Key[Array, ""]) -> tuple[State, Observation]:
        """`(state, observation)` of the episode that follows the one which ended in `state`.

        As `reset`; an environment with something that outlives an episode, such as running statistics, carries it over
        and says so in `carries_over`.
        """
        return self.reset(key=key)

    @property
    def carries_over(self) -> bool:
        """`restart` keeps something of the episode before, so first states cannot be drawn ahead of time."""
        return False

    def action_mask(self, state: State) -> Bool[Array, " mask_size"] | None:
        """True for each choice that is legal in `state` (see `AbstractSpace.mask_size`); None where all always are.

        Whether it is None depends on the environment alone, never on the state.
        """
        return None

    @property
    def unwrapped(self) -> "AbstractEnv":
        """The task itself, without the wrappers around it."""
        return self


def reset_where_done(step: TimeStep, state: State, observation: Observation) -> tuple[State, Observation]:
    """`(state, observation)` to act on next: the given first ones if `step` ended an episode, else those of `step`.

    On a CPU it is several times faster to draw the first states of a whole rollout at once, with `jax.vmap(env.reset)`
    ahead of the scan, than to call `autoreset` in each step; allowed unless `env.carries_over`.
    """
    return select(step.terminated | step.truncated, (state, observation), (step.state, step.observation))


def autoreset(env: AbstractEnv, step: TimeStep, *, key: Key[Array, ""]) -> tuple[State, Observation]:
    """`(state, observation)` to act on next: a new episode has begun if `step` ended one.

    `step.observation` stays the true successor, which is what values are bootstrapped from (Pardo et al. 2018,
    arXiv:1712.00378).
    """
    return reset_where_done(step, *env.restart(step.state, key=key))
