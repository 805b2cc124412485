"""Training on host environments: they are stepped in Python, acting and learning are compiled around them.

An environment step costs one call of `act` (the first of a rollout: `begin_rollout`), an iteration one call of `learn`
besides. What is learned is the algorithm's own `behavior`, `store` and `improve`, with the keys of the native loop.
"""

import dataclasses
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Float, Int, Key, PyTree

from perdure._core import NonFiniteError, is_floating, owned
from perdure.env.adapter import HostEnv, HostStep
from perdure.policy import AbstractPolicy

from ._host_compiled import Metrics, Observed, RolloutBuffer, StaticTraining, act, begin_rollout, learn
from ._rollout import Rollout
from ._training import State, Trains
from ._watch import LOOK_AT_OBSERVATION, first_environment, stopped


class Progress:
    """Where each environment stands, on the host."""

    def __init__(self, rollout: Rollout):
        self.vector_steps = 0  # since the rollout began
        self.begins = np.zeros(rollout.episode_return.shape, bool)
        self.episode_return = np.array(rollout.episode_return)
        self.episode_length = np.array(rollout.episode_length)

    def take_in(self, step: HostStep) -> Float[np.ndarray, "3"]:
        """Account for a step; the number, returns and lengths of the episodes that ended with it, summed."""
        self.begins = step.begins
        self.episode_return += np.where(step.happened, step.reward, 0)
        self.episode_length += step.happened
        done = step.happened & (step.terminated | step.truncated)
        if not done.any():
            return np.zeros(3)
        ended = np.array([done.sum(), self.episode_return[done].sum(), self.episode_length[done].sum()])
        self.episode_return[done], self.episode_length[done] = 0, 0
        return ended


def check_observation(observation: PyTree) -> None:
    """Raises: NonFiniteError naming the environment and the value, if a number of its observation is not finite."""
    for leaf in jax.tree.leaves(observation):
        if is_floating(leaf) and not np.isfinite(leaf).all():
            raise NonFiniteError(f"the observation of environment {first_environment(leaf)}. {LOOK_AT_OBSERVATION}.")


def collect_on_host(
    static: StaticTraining, arrays: list[Array], buffer: RolloutBuffer, action: PyTree, env: HostEnv, progress: Progress
) -> tuple[RolloutBuffer, Observed, np.ndarray]:
    """Step until every environment has made `num_steps` steps, the first with `action`; see `_rollout.collect`.

    Environments that begin episodes at a step of their own fall behind the others meanwhile. What the others do until all
    have caught up is left out, so that each environment's transitions stay in order and come from the present policy.
    """
    progress.vector_steps = 0
    num_steps, environments = static.algorithm.num_steps, np.arange(env.num_envs)
    at, ended = np.zeros(env.num_envs, np.int32), np.zeros(3)
    observed: Observed | None = None
    while True:
        observation, mask = env.observation, env.action_mask
        progress.vector_steps += 1
        step = env.step(action)
        ended += progress.take_in(step)
        check_observation(step.next_observation)
        if step.observation is not step.next_observation:
            check_observation(step.observation)
        new = Observed(
            observation,
            step.next_observation,
            mask,
            step.next_action_mask,
            step.reward,
            step.terminated,
            step.truncated,
        )
        if observed is None:
            observed = jax.tree.map(lambda x: np.zeros((num_steps, *x.shape), x.dtype), new)
        counts = step.happened & (at < num_steps)
        where: np.ndarray | tuple[np.ndarray, np.ndarray] = (at[counts], environments[counts])
        kept: np.ndarray | slice = counts
        if counts.all() and (at == at[0]).all():  # as always but after ends of episodes: quicker, and the same
            where, kept = at[0], slice(None)
        for tracks, x in zip(jax.tree.leaves(observed), jax.tree.leaves(new), strict=True):
            tracks[where] = x[kept]
        at += counts
        if (at >= num_steps).all():
            return buffer, observed, ended
        buffer, action = act(static, arrays, buffer, at.copy(), env.observation, env.action_mask, progress.begins)


def run_on_host(
    env: HostEnv,
    algorithm: Trains[State],
    state: State,
    iterations: int | Int[Array, ""],
    episodes: float | Float[Array, ""] = np.inf,
    *,
    is_warmup: bool = False,
) -> tuple[State, dict[str, np.ndarray], Exception | None]:
    """As `run_compiled`, on a host environment that stands where `state` says; `state` is used up.

    An error of the environment comes last, and then the state has learned from every iteration before it; its episodes are
    those that it began with, so they begin anew where training goes on from it.
    """
    static = StaticTraining(algorithm, state, is_warmup)
    arrays, progress = static.pack(state), Progress(state.rollout)
    metrics: list[Metrics] = []
    episodes_ended: list[np.ndarray] = []
    num_iterations, num_episodes = int(iterations), float(episodes)  # to compare JAX arrays would cost a call each
    done, began = 0, int(state.iteration)

    def begin(policy_state: PyTree) -> tuple[RolloutBuffer, PyTree]:
        return begin_rollout(static, arrays, policy_state, env.observation, env.action_mask, progress.begins)

    buffer, action = begin(state.rollout.policy_state)
    while len(metrics) < num_iterations and done < num_episodes:
        try:
            buffer, observed, ended = collect_on_host(static, arrays, buffer, action, env, progress)
        except NonFiniteError as error:
            rollouts = len(metrics) + (0 if is_warmup else algorithm.warmup_rollouts + began)
            steps = rollouts * algorithm.steps_per_iteration + progress.vector_steps * env.num_envs
            return static.unpack(arrays), {}, stopped(steps, error)
        except Exception as error:  # whatever it is: what was learned is not lost with it
            return static.unpack(arrays), {}, error
        arrays, measured = learn(static, arrays, buffer, observed)
        buffer, action = begin(buffer.policy_state)
        done += ended[0]
        metrics.append(measured)
        episodes_ended.append(ended)
    state = with_rollout(
        standing_at(env, static.unpack(arrays)),
        policy_state=jax.tree.map(lambda x: x[0], buffer.policy_states),  # as it goes into the step that comes next
        episode_return=progress.episode_return,
        episode_length=progress.episode_length,
    )
    log = np.stack(jax.device_get([measured.values for measured in metrics]), axis=1)
    sums = np.stack(episodes_ended, axis=1)
    named = zip((*metrics[0].names, "episodes", "return_sum", "length_sum"), (*log, *sums), strict=True)
    return state, dict(named), None


def init_on_host(algorithm: Trains[State], env: HostEnv, policy: AbstractPolicy, *, key: Key[Array, ""]) -> State:
    """As `init`: a fresh training state, with new episodes begun and the warm-up stored.

    Raises: ValueError if `env` is not `algorithm.num_envs` environments.
    """
    check_num_envs(algorithm, env)
    check_observation(env.reset(seed=seed_from(key)))
    state = eqx.filter_jit(lambda policy, key: algorithm.begin(env.spec, policy, key=key))(policy, key)
    state = standing_at(env, state)
    return warm_up_on_host(algorithm, env, state) if algorithm.warmup_rollouts else state


def warm_up_on_host(algorithm: Trains[State], env: HostEnv, state: State) -> State:
    """With the warm-up stored; `env` stands where `state` says."""
    state, _, error = run_on_host(env, algorithm, owned(state), algorithm.warmup_rollouts, is_warmup=True)
    if error is not None:
        raise error
    return state


def seed_from(key: Key[Array, ""]) -> int:
    """A seed for the environments' own generators; `key` stays unused for all else."""
    return int(jr.bits(jr.fold_in(key, 2**31))) % 2**31


def standing_at(env: HostEnv, state: State) -> State:
    """The state with the environment's observation and mask."""
    return with_rollout(state, env_state=env.action_mask, observation=env.observation)


def with_rollout(state: State, **fields: PyTree) -> State:
    """The state with these fields of its rollout, as JAX arrays."""
    return dataclasses.replace(state, rollout=dataclasses.replace(state.rollout, **jax.tree.map(jnp.array, fields)))


def check_num_envs(algorithm: Trains[State], env: HostEnv) -> None:
    """Raises: ValueError if `env` is not `algorithm.num_envs` environments."""
    if env.num_envs != algorithm.num_envs:
        raise ValueError(
            f"{type(algorithm).__name__}.num_envs={algorithm.num_envs}, but {env.name} is {env.num_envs} host "
            f"environments. Set num_envs={env.num_envs}, or make as many environments as the algorithm wants."
        )


def resume_on_host(algorithm: Trains[State], env: HostEnv, state: State) -> State:
    """The state to go on from, whose episodes are begun anew if the environment does not stand where the state says.

    Raises: ValueError if `env` is not `algorithm.num_envs` environments.
    """
    check_num_envs(algorithm, env)
    if env.observation is not None:
        pairs = zip(jax.tree.leaves(env.observation), jax.tree.leaves(state.rollout.observation), strict=True)
        if all(np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f") for ours, theirs in pairs):
            return state
    warnings.warn(
        f"{env.name} does not stand where this training state left it, so its episodes begin anew: what is learned from "
        "here on is not bit for bit what it would have been.",
        stacklevel=4,
    )
    env.reset(seed=seed_from(state.key))
    zeros = jnp.zeros_like(state.rollout.episode_return), jnp.zeros_like(state.rollout.episode_length)
    fresh = jax.vmap(lambda k: state.policy.reset(key=k))(jr.split(state.key, env.num_envs))
    return with_rollout(standing_at(env, state), policy_state=fresh, episode_return=zeros[0], episode_length=zeros[1])
