"""Training is finite or it ends: what is looked at on the host between two compiled chunks.

Nothing is computed inside the loop for this. A reward that is not finite stays in the return of its episode, which is in the
state until the episode ends and in the metrics of that iteration then; a loss is a metric; and weights stay what they are.
"""

from collections.abc import Callable, Mapping
from typing import NoReturn

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float

from perdure._core import NonFiniteError, all_finite, first_of, is_floating, nonfinite

from ._training import TrainState

LEARNED = ("policy", "learner", "optimizer_state")  # fields of a state that must be finite, of those it has
LOOK_AT_REWARD = "Look at the rewards that the environment gives"
LOOK_AT_OBSERVATION = "Look at what this environment observes"
LOOK_AT_LEARNING = (
    "Look for rewards and observations that are not finite or huge (normalize_reward, normalize_observation), then try a lower "
    "learning_rate or max_gradient_norm"
)
CHECKPOINTS = "Checkpoints from before are finite, and stay."


def check_chunk(
    state: TrainState, log: Mapping[str, Float[np.ndarray, " iterations"]], steps_at: Callable[[int], int], before: int
) -> None:
    """Check the metrics of the iterations after iteration `before`, and the state that they end with.

    Raises: NonFiniteError naming the steps of the first iteration with a number that is not finite, and where that was met.
    """
    bad = {name: ~np.isfinite(values) for name, values in log.items()}
    first = min((int(where.argmax()) for where in bad.values() if where.any()), default=None)
    num_iterations = len(log["episodes"])
    if first is None:
        check_state(state, steps_at(before + num_iterations))
        return
    steps = f"{steps_at(before + first)} to {steps_at(before + first + 1)}"
    if bad["return_sum"][first]:
        stop(steps, f"the return of an episode is {log['return_sum'][first]}", LOOK_AT_REWARD)
    if first == num_iterations - 1:  # else the state is of later iterations, which acted with what this one learned
        check_collected(state, steps)
    name = next(name for name in log if bad[name][first])
    stop(steps, f"'{name}' is {log[name][first]}", LOOK_AT_LEARNING)


def check_state(state: TrainState, steps: int) -> None:
    """Check what was collected and what is learned after so many steps.

    Raises: NonFiniteError naming the environment or the parameter, and the value.
    """
    learned = {name: getattr(state, name) for name in LEARNED if name in state.__dataclass_fields__}
    learned = learned or {"policy": state.policy}
    tree = (learned, state.rollout.episode_return, state.rollout.observation)
    if not all_finite([leaf for leaf in jax.tree.leaves(tree) if eqx.is_inexact_array(leaf)]):
        check_collected(state, steps)
        if found := nonfinite(learned):
            stop(steps, found, LOOK_AT_LEARNING)


def check_collected(state: TrainState, steps: int | str) -> None:
    """Raises: NonFiniteError naming the environment whose return or observation is not finite, if there is one."""
    if environment := first_environment(np.asarray(state.rollout.episode_return)):
        stop(steps, f"the return of environment {environment}", LOOK_AT_REWARD)
    for leaf in jax.tree.leaves(state.rollout.observation):
        if is_floating(leaf) and (environment := first_environment(np.asarray(leaf))):
            stop(steps, f"the observation of environment {environment}", LOOK_AT_OBSERVATION)


def first_environment(values: Float[np.ndarray, "num_envs ..."]) -> str | None:
    """The first environment with a number that is not finite: `3 is nan`; None without one."""
    bad = ~np.isfinite(values).reshape(len(values), -1)
    if not bad.any():
        return None
    index = int(bad.any(1).argmax())
    return f"{index}{first_of(values[index], ~np.isfinite(values[index]))}"


def stop(steps: int | str, found: str, look_at: str) -> NoReturn:
    """Raises: NonFiniteError."""
    raise stopped(steps, f"{found}. {look_at}.")


def stopped(steps: int | str, why: str | NonFiniteError) -> NonFiniteError:
    """The end of a training that met a number that is not finite."""
    return NonFiniteError(f"Training stopped at step {steps}: {why} {CHECKPOINTS}")
