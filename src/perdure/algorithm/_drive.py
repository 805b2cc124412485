"""The loop around the loop: compiled chunks of training, and the callbacks between them."""

import signal
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from perdure._core import owned
from perdure.callback import AbstractCallback, Record
from perdure.env.adapter import HostEnv

from ._host import run_on_host
from ._interrupt import catch_signals
from ._listener import Listener, summary
from ._native import CHUNK, run_compiled
from ._training import State, Trains, steps_ahead
from ._watch import check_chunk, check_state

CHUNK_SECONDS = 0.25  # how long a call should take, so that a progress bar moves and Ctrl-C is noticed


def run_chunk(
    algorithm: Trains[State], state: State, iterations: int, episodes: float, env: HostEnv | None
) -> tuple[State, Mapping[str, Array | np.ndarray], Exception | None]:
    """At most so many iterations, and the metrics of each, less if before that so many `episodes` have ended.

    An error of a host environment is given back, beside the state after the last iteration before it.
    """
    if env is not None:
        return run_on_host(env, algorithm, state, iterations, episodes)
    numbers = jnp.asarray(iterations, jnp.int32), jnp.asarray(episodes, jnp.float32)
    return (*run_compiled(algorithm, state, *numbers), None)


def drive(
    algorithm: Trains[State],
    state: State,
    last: int,
    episodes: int | None,
    callbacks: Sequence[AbstractCallback],
    env: HostEnv | None = None,
) -> State:
    """Run up to iteration `last`, or till `episodes` have ended, in chunks, telling callbacks between them.

    Where the chunks are cut depends on the clock and on the callbacks; what they compute does not.

    Raises: NonFiniteError at the end of the chunk in which a reward, a loss or a weight is not finite, before callbacks see
    the state; and what a host environment raises. Every callback is told of the end.
    """
    began = time.perf_counter()
    first = at = int(state.iteration)
    steps_before = algorithm.steps_before_learning + steps_ahead(state)
    state = owned(state)

    def steps_at(iteration: int) -> int:
        return steps_before + iteration * algorithm.steps_per_iteration

    def record_of(metrics: dict[str, float], ended: np.ndarray, speed: float) -> Record:
        elapsed = time.perf_counter() - began
        return Record(steps_at(at), steps_at(last), at, elapsed, speed, metrics, ended, algorithm, state, env)

    size, stop, metrics, left = 1, False, dict[str, float](), float("inf") if episodes is None else float(episodes)
    nothing, listeners = np.zeros((0, 2)), [Listener(callback, steps_at) for callback in callbacks]

    def finish(callback: AbstractCallback) -> None:
        speed = (at - first) * algorithm.steps_per_iteration / max(time.perf_counter() - began, 1e-9)
        callback.on_end(record_of(metrics, nothing, speed))

    def with_new_env(state: State, callback: AbstractCallback, record: Record) -> State:
        env = callback.new_env(record)
        return state if env is None else eqx.tree_at(lambda s: s.env, state, owned(env))

    check_state(state, steps_at(at))
    with ExitStack() as stack:  # whatever fails, every callback that has begun is told of the end
        for callback in callbacks:
            record = record_of({}, nothing, 0.0)
            callback.on_start(record)
            stack.callback(finish, callback)
            state = with_new_env(state, callback, record)
        interrupted = stack.enter_context(catch_signals())
        while at < last and not stop and not interrupted():
            due = [listener.until_due(at) for listener in listeners]
            size = min(size, last - at, CHUNK, *(n for n in due if n is not None))
            before, chunk_began = at, time.perf_counter()
            state, log, error = run_chunk(algorithm, state, size, left, env)
            at = int(state.iteration)
            if error is not None:
                raise error
            seconds, size = time.perf_counter() - chunk_began, at - before
            now = {name: np.array(values[:size]) for name, values in jax.device_get(log).items()}
            metrics = summary(now)
            check_chunk(state, now, steps_at, before)
            left -= metrics["episodes"]
            stop = left <= 0
            for listener, n in zip(listeners, due, strict=True):
                listener.add(now)
                if stop or n is None or n == size:  # every later one is called, even if an earlier one stops
                    record = record_of(*listener.take(), size * algorithm.steps_per_iteration / seconds)
                    stop = listener.callback.on_chunk(record) or stop
                    state = with_new_env(state, listener.callback, record)
            if before > first:  # the first chunk also compiled, so its time says nothing
                size = int(np.clip(size * CHUNK_SECONDS / seconds, 1, CHUNK))
    if interrupted() == signal.SIGTERM:
        print(f"perdure: SIGTERM, so training ends after {steps_at(at)} of {steps_at(last)} steps.", file=sys.stderr)
        sys.exit(128 + signal.SIGTERM)
    if interrupted():
        warnings.warn(
            f"Interrupted after {steps_at(at)} of {steps_at(last)} steps; what was learned so far is kept.",
            stacklevel=3,
        )
    return state
