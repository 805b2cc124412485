"""What every algorithm offers: `init`, `run`, `learn`. The loop around the loop lives here, once."""

import signal
import sys
import time
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key

from perdure._core import owned
from perdure.callback import AbstractCallback, ProgressBar, Record
from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv, HostSpec

from ._host import init_on_host, resume_on_host, run_on_host, warm_up_on_host
from ._interrupt import catch_signals
from ._listener import Listener, summary
from ._rollout import Actor, Rollout, Transition, collect, uniform_actor

CHUNK = 256  # iterations at most in one compiled call; also the length of the metrics that it returns
CHUNK_SECONDS = 0.25  # how long a call should take, so that a progress bar moves and Ctrl-C is heard


@runtime_checkable
class TrainState(Protocol):
    """What the outer loop needs to know of a training state; it is one module of arrays and holds everything."""

    env: AbstractEnv
    rollout: Rollout
    key: Key[Array, ""]
    iteration: Int[Array, ""]

    @property
    def policy(self) -> Any: ...


State = TypeVar("State", bound=TrainState)


class AbstractAlgorithm(eqx.Module, Generic[State]):
    """Settings and mathematics. The state is apart: `init` makes it, `run` takes it and gives the next one.

    Resuming is exact: running 2n steps gives the same bits as running n steps twice.
    """

    num_envs: eqx.AbstractVar[int]
    num_steps: eqx.AbstractVar[int]  # of each environment in one iteration

    @abstractmethod
    def begin(self, env: AbstractEnv, policy: Any, *, key: Key[Array, ""]) -> State:
        """A fresh training state that owns everything training needs: networks, optimiser, environments, key.

        Raises: TypeError for a policy of another kind, ValueError for one made for other spaces.
        """

    @abstractmethod
    def actor(self, state: State) -> Actor:
        """How one environment is acted on while learning."""

    @abstractmethod
    def store(self, state: State, transitions: Transition) -> State:
        """With transitions kept for learning later; leading axes `(num_steps, num_envs)`."""

    @abstractmethod
    def improve(self, state: State, transitions: Transition, *, key: Key[Array, ""]) -> tuple[State, dict[str, Array]]:
        """What one iteration learns from what it collected, leading axes `(num_steps, num_envs)`. Metrics are scalars."""

    @property
    @abstractmethod
    def warmup_rollouts(self) -> int:
        """Rollouts of uniformly drawn actions that are stored before the first iteration."""

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of one iteration, all environments together."""
        return self.num_envs * self.num_steps

    @property
    def steps_before_learning(self) -> int:
        """Environment steps that `init` takes already."""
        return self.warmup_rollouts * self.steps_per_iteration

    def init(self, env: AbstractEnv | HostEnv, policy: Any, *, key: Key[Array, ""]) -> State:
        """A fresh training state, with the warm-up stored: uniformly drawn legal actions.

        Raises: TypeError for a policy of another kind, ValueError for one made for other spaces, or if a host environment
        is not `num_envs` environments.
        """
        if isinstance(env, HostEnv):
            return init_on_host(self, env, policy, key=key)
        return init_compiled(self, env, policy, key=key)

    def refill(self, state: State, *, env: HostEnv | None = None) -> State:
        """A state that was loaded without its replay buffer, with the warm-up stored anew. These steps are not counted."""
        if not self.warmup_rollouts:
            return state
        if env is None:
            return warm_up_compiled(self, state)
        return warm_up_on_host(self, env, resume_on_host(self, env, state))

    def iterate(self, state: State) -> tuple[State, dict[str, Array]]:
        """One iteration: collect, then learn. Metrics are scalars, and sums over the episodes that ended."""
        key, key_collect, key_improve = jr.split(state.key, 3)
        rollout, transitions, episodes = collect(
            state.env, state.policy, self.actor(state), state.rollout, self.num_steps, key=key_collect
        )
        state = eqx.tree_at(lambda s: (s.rollout, s.key), state, (rollout, key))
        state, metrics = self.improve(state, transitions, key=key_improve)
        return state, {**metrics, **episodes}

    def steps_taken(self, state: State) -> int:
        """Environment steps since `init`, all environments together."""
        return self.steps_before_learning + int(state.iteration) * self.steps_per_iteration

    def run(
        self,
        state: State,
        steps: int,
        *,
        episodes: int | None = None,
        callbacks: Sequence[AbstractCallback] = (),
        env: HostEnv | None = None,
    ) -> State:
        """The state after at least `steps` more environment steps (whole iterations). `state` itself stays valid.

        With `episodes` it ends earlier, after the iteration in which so many have ended.

        `env` is the host environment of a training on one; if it has moved on since, its episodes begin anew, with a
        warning. Ctrl-C ends it early: the state up to there is returned, with a warning. SIGTERM ends it early too, and
        then the program, with exit status 143; callbacks are told of the end before. A second one acts at once.

        Raises: ValueError if `steps` or `episodes` is below 1, TypeError if `env` is missing or not wanted.
        """
        if isinstance(state.env, HostSpec) != (env is not None):
            wanted = (
                f"on the host environment {state.env.name}; pass it as env="
                if env is None
                else "native; leave out env="
            )
            raise TypeError(f"This training state is of a training {wanted}.")
        if steps < 1:
            raise ValueError(f"steps={steps}, but training needs at least one environment step.")
        if episodes is not None and episodes < 1:
            raise ValueError(f"episodes={episodes}, but at least one is needed. Leave it out to go by steps alone.")
        iterations = -(-steps // self.steps_per_iteration)
        if env is None:
            return drive(self, state, int(state.iteration) + iterations, episodes, callbacks)
        state = resume_on_host(self, env, state)
        return drive(self, state, int(state.iteration) + iterations, episodes, callbacks, env)

    def train(
        self,
        env: AbstractEnv | HostEnv,
        policy: Any,
        *,
        total_timesteps: int,
        key: Key[Array, ""],
        callbacks: Sequence[AbstractCallback] | None = None,
    ) -> State:
        """`init`, then `run` up to at least `total_timesteps` environment steps (whole iterations): the whole state.

        `callbacks` defaults to a progress bar. Ctrl-C ends it early: the state up to there is returned, with a warning.

        Raises: ValueError if `total_timesteps` is below one iteration.
        """
        least = self.steps_before_learning + self.steps_per_iteration
        if total_timesteps < least:
            raise ValueError(
                f"total_timesteps={total_timesteps}, but {type(self).__name__} learns for the first time after {least} "
                f"environment steps. Set total_timesteps to at least {least}, or make the rollout smaller."
            )
        state = self.init(env, policy, key=key)
        callbacks = [ProgressBar()] if callbacks is None else callbacks
        steps, host = total_timesteps - self.steps_before_learning, env if isinstance(env, HostEnv) else None
        return self.run(state, steps, callbacks=callbacks, env=host)

    def learn(
        self,
        env: AbstractEnv | HostEnv,
        policy: Any,
        *,
        total_timesteps: int,
        key: Key[Array, ""],
        callbacks: Sequence[AbstractCallback] | None = None,
    ) -> Any:
        """The policy of `train`: one of the same kind as `policy`, trained for at least `total_timesteps` steps."""
        return self.train(env, policy, total_timesteps=total_timesteps, key=key, callbacks=callbacks).policy


@eqx.filter_jit
def init_compiled(algorithm: AbstractAlgorithm[State], env: AbstractEnv, policy: Any, *, key: Key[Array, ""]) -> State:
    """As `AbstractAlgorithm.init`, on a native environment."""
    return warm_up_compiled(algorithm, algorithm.begin(env, policy, key=key))


@eqx.filter_jit
def warm_up_compiled(algorithm: AbstractAlgorithm[State], state: State) -> State:
    """With the warm-up stored, on a native environment."""
    env, policy = state.env, state.policy
    arrays, static = eqx.partition(state, eqx.is_array)

    def warm_up(arrays: Any, _: None) -> tuple[Any, None]:
        state: State = eqx.combine(arrays, static)
        key, key_collect = jr.split(state.key)
        rollout, transitions, _episodes = collect(
            env, policy, uniform_actor(env.action_space), state.rollout, algorithm.num_steps, key=key_collect
        )
        state = eqx.tree_at(lambda s: (s.rollout, s.key), state, (rollout, key))
        return eqx.filter(algorithm.store(state, transitions), eqx.is_array), None

    if algorithm.warmup_rollouts:
        arrays, _ = jax.lax.scan(warm_up, arrays, length=algorithm.warmup_rollouts)
    return eqx.combine(arrays, static)


@eqx.filter_jit(donate="all-except-first")
def run_compiled(
    algorithm: AbstractAlgorithm[State], state: State, iterations: Int[Array, ""], episodes: Float[Array, ""]
) -> tuple[State, dict[str, Array]]:
    """`iterations` (at most `CHUNK`) iterations in one compiled loop, and the metrics of each.

    Less, if before that so many `episodes` have ended. Both are arguments, so every call runs the same program, whatever
    the length: that is what makes resuming exact. The state's memory is reused for the result.
    """
    arrays, static = eqx.partition(state, eqx.is_array)

    def iterate(arrays: Any) -> tuple[Any, dict[str, Array]]:
        state, metrics = algorithm.iterate(eqx.combine(arrays, static))
        return eqx.filter(state, eqx.is_array), metrics

    def goes_on(carry: tuple[Array, Array, Any, Any]) -> Bool[Array, ""]:
        return (carry[0] < iterations) & (carry[1] < episodes)

    def body(carry: tuple[Array, Array, Any, Any]) -> tuple[Array, Array, Any, Any]:
        i, ended, arrays, log = carry
        arrays, metrics = iterate(arrays)
        log = jax.tree.map(lambda log, x: log.at[i].set(x), log, metrics)
        return i + 1, ended + metrics["episodes"], arrays, log

    empty = jax.tree.map(lambda x: jnp.zeros((CHUNK, *x.shape), x.dtype), jax.eval_shape(iterate, arrays)[1])
    start = jnp.zeros((), jnp.int32), jnp.zeros(()), arrays, empty
    *_, arrays, log = jax.lax.while_loop(goes_on, body, start)
    return eqx.combine(arrays, static), log


def drive(
    algorithm: AbstractAlgorithm[State],
    state: State,
    last: int,
    episodes: int | None,
    callbacks: Sequence[AbstractCallback],
    env: HostEnv | None = None,
) -> State:
    """Run up to iteration `last`, or till `episodes` have ended, in chunks, telling callbacks between them.

    Where the chunks are cut depends on the clock and on the callbacks; what they compute does not.
    """
    run_chunk: Any = run_compiled if env is None else partial(run_on_host, env)
    began = time.perf_counter()
    first = at = int(state.iteration)
    state = owned(state)

    def steps_at(iteration: int) -> int:
        return algorithm.steps_before_learning + iteration * algorithm.steps_per_iteration

    def record(metrics: dict[str, float], ended: np.ndarray, speed: float) -> Record:
        elapsed = time.perf_counter() - began
        return Record(steps_at(at), steps_at(last), at, elapsed, speed, metrics, ended, algorithm, state, env)

    size, stop, metrics, left = 1, False, dict[str, float](), float("inf") if episodes is None else float(episodes)
    nothing, listeners = np.zeros((0, 2)), [Listener(callback, steps_at) for callback in callbacks]

    def finish(callback: AbstractCallback) -> None:
        speed = (at - first) * algorithm.steps_per_iteration / max(time.perf_counter() - began, 1e-9)
        callback.on_end(record(metrics, nothing, speed))

    def with_new_env(state: State, callback: AbstractCallback, told: Record) -> State:
        env = callback.new_env(told)
        return state if env is None else eqx.tree_at(lambda s: s.env, state, owned(env))

    with ExitStack() as stack:  # whatever fails, every callback that has begun is told of the end
        for callback in callbacks:
            told = record({}, nothing, 0.0)
            callback.on_start(told)
            stack.callback(finish, callback)
            state = with_new_env(state, callback, told)
        interrupted = stack.enter_context(catch_signals())
        while at < last and not stop and not interrupted():
            due = [listener.until_due(at) for listener in listeners]
            size = min(size, last - at, CHUNK, *(n for n in due if n is not None))
            before, chunk_began = at, time.perf_counter()
            state, log = run_chunk(algorithm, state, jnp.asarray(size, jnp.int32), jnp.asarray(left, jnp.float32))
            at = int(state.iteration)
            seconds, size = time.perf_counter() - chunk_began, at - before
            now = {name: np.array(values[:size]) for name, values in jax.device_get(log).items()}
            metrics = summary(now)
            left -= metrics["episodes"]
            stop = left <= 0
            for listener, n in zip(listeners, due, strict=True):
                listener.hear(now)
                if stop or n is None or n == size:  # every later one is told, even if an earlier one stops
                    told = record(*listener.news(), size * algorithm.steps_per_iteration / seconds)
                    stop = listener.callback.on_chunk(told) or stop
                    state = with_new_env(state, listener.callback, told)
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
