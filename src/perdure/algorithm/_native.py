"""What is compiled of training on a native environment: the start, the warm-up, and the loop over iterations."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from perdure.env import AbstractEnv
from perdure.policy import AbstractPolicy

from ._rollout import collect, uniform_behavior
from ._training import Metrics, State, Trains

CHUNK = 256  # iterations at most in one compiled call; also the length of the metrics that it returns


@eqx.filter_jit
def init_compiled(algorithm: Trains[State], env: AbstractEnv, policy: AbstractPolicy, *, key: Key[Array, ""]) -> State:
    """As `AbstractAlgorithm.init`, on a native environment."""
    return warm_up_compiled(algorithm, algorithm.begin(env, policy, key=key))


@eqx.filter_jit
def warm_up_compiled(algorithm: Trains[State], state: State) -> State:
    """With the warm-up stored, on a native environment."""
    env, policy = state.env, state.policy
    arrays, static = eqx.partition(state, eqx.is_array)

    def warm_up(arrays: PyTree, _: None) -> tuple[PyTree, None]:
        state: State = eqx.combine(arrays, static)
        key, key_collect = jr.split(state.key)
        rollout, transitions, _episodes = collect(
            env, policy, uniform_behavior(env.action_space), state.rollout, algorithm.num_steps, key=key_collect
        )
        state = eqx.tree_at(lambda s: (s.rollout, s.key), state, (rollout, key))
        return eqx.filter(algorithm.store(state, transitions), eqx.is_array), None

    if algorithm.warmup_rollouts:
        arrays, _ = jax.lax.scan(warm_up, arrays, length=algorithm.warmup_rollouts)
    return eqx.combine(arrays, static)


@eqx.filter_jit(donate="all-except-first")
def run_compiled(
    algorithm: Trains[State], state: State, iterations: Int[Array, ""], episodes: Float[Array, ""]
) -> tuple[State, Metrics]:
    """`iterations` (at most `CHUNK`) iterations in one compiled loop, and the metrics of each.

    Less, if before that so many `episodes` have ended. Both are arguments, so every call runs the same program, whatever
    the length: that is what makes resuming exact. The state's memory is reused for the result.
    """
    arrays, static = eqx.partition(state, eqx.is_array)

    def iterate(arrays: PyTree) -> tuple[PyTree, Metrics]:
        state, metrics = algorithm.iterate(eqx.combine(arrays, static))
        return eqx.filter(state, eqx.is_array), metrics

    def goes_on(carry: tuple[Array, Array, PyTree, Metrics]) -> Bool[Array, ""]:
        return (carry[0] < iterations) & (carry[1] < episodes)

    def body(carry: tuple[Array, Array, PyTree, Metrics]) -> tuple[Array, Array, PyTree, Metrics]:
        i, ended, arrays, log = carry
        arrays, metrics = iterate(arrays)
        log = jax.tree.map(lambda log, x: log.at[i].set(x), log, metrics)
        return i + 1, ended + metrics["episodes"], arrays, log

    empty = jax.tree.map(lambda x: jnp.zeros((CHUNK, *x.shape), x.dtype), jax.eval_shape(iterate, arrays)[1])
    start = jnp.zeros((), jnp.int32), jnp.zeros(()), arrays, empty
    *_, arrays, log = jax.lax.while_loop(goes_on, body, start)
    return eqx.combine(arrays, static), log
