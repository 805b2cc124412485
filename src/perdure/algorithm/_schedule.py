"""What changes with the environment steps taken: right to 10^12 of them, where a product of int32 counters would wrap."""

import warnings

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

MOST = 2**31 - 1  # of int32: iterations of one training, and what an optimiser counts to


def fraction_of(
    timesteps: int, iteration: Int[Array, "*batch"], *, steps_before: int = 0, steps_per_iteration: int
) -> Float[Array, "*batch"]:
    """The environment steps taken before `iteration`, as a fraction of `timesteps`; beyond 1 past them.

    Exact integers as long as int32 holds them, beyond that a product of floats, off by 2e-7 of itself.
    """
    steps = steps_before + iteration * steps_per_iteration
    last = (MOST - steps_before) // steps_per_iteration  # the last iteration before the line above wraps
    far = steps_before + iteration.astype(float) * float(steps_per_iteration)
    return jnp.where(iteration <= last, steps.astype(float), far) / float(timesteps)


def falling(learning_rate: float, updates: int) -> optax.Schedule:
    """From `learning_rate` linearly to zero over so many gradient steps, and zero after that."""
    if updates <= MOST:
        return optax.linear_schedule(learning_rate, 0.0, max(updates, 1))
    return lambda count: learning_rate * (1 - count / float(updates))  # optax counts to `MOST` and stays there


def last_iteration(first: int, iterations: int, *, may_end_before: bool) -> int:
    """Where so many iterations after `first` end. One that may end before that does so where the counter ends.

    Raises: ValueError for more iterations than the counter of a training state can tell apart.
    """
    last = first + iterations
    if last > MOST and not may_end_before:
        raise ValueError(
            f"Training would end at iteration {last}, but iterations are counted up to {MOST}. Make each longer: raise "
            "num_envs or num_steps."
        )
    return min(last, MOST)


def warn_past_end(name: str, anneal_timesteps: int | None, begins: int) -> None:
    """Warn if an iteration that is to come begins, at the step `begins`, where nothing is learned any more."""
    if anneal_timesteps is not None and begins >= anneal_timesteps:
        warnings.warn(
            f"{name}.anneal_timesteps={anneal_timesteps}, and this training goes on past that: from there on the learning "
            "rate is 0 and nothing is learned. Raise anneal_timesteps, or set it to None.",
            stacklevel=3,
        )
