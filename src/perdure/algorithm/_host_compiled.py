"""What is compiled of training on a host environment: acting with every environment once, and learning.

What the policy says stays on the device, on the `Tape`; what the environments say comes over once an iteration. Keys go in
and out as numbers: with a typed key among its arguments or results, JAX takes a millisecond more for a call.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, UInt

from perdure._core import select

from ._rollout import Transition, rollout_noise, uniform_actor

SMALL = 2**14  # bytes up to which copying an array costs less than handing it over


class Tape(NamedTuple):
    """What the policy says during one rollout, and the random numbers that it says it with."""

    policy_state: PyTree  # now; leaves (num_envs, ...)
    noise: PyTree  # leaves (num_steps, num_envs, ...)
    reset_keys: UInt[Array, "num_steps num_envs words"]  # the data of keys
    policy_states: PyTree  # that went in; leaves (num_steps, num_envs, ...), as those that follow
    actions: PyTree  # raw
    extras: PyTree


class Seen(NamedTuple):
    """What the environments say during one rollout: numpy arrays (num_steps, num_envs, ...), see `Transition`."""

    observation: PyTree
    next_observation: PyTree
    action_mask: Any
    next_action_mask: Any
    reward: Float[np.ndarray, "num_steps num_envs"]
    terminated: Bool[np.ndarray, "num_steps num_envs"]
    truncated: Bool[np.ndarray, "num_steps num_envs"]


def key_kind(leaf: Array) -> str | None:
    """The name of a typed key's generator; None for any other array."""
    return str(jr.key_impl(leaf)) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else None


def grouped(arrays: list[Array]) -> tuple[tuple[int, ...], ...]:
    """Which of the arrays are small, by dtype: their places."""
    groups: dict[str, list[int]] = {}
    for i, array in enumerate(arrays):
        if array.nbytes <= SMALL:
            groups.setdefault(array.dtype.name, []).append(i)
    return tuple(map(tuple, groups.values()))


@jax.jit
def put_together(arrays: list[Array]) -> Array:
    """Arrays of one dtype as one."""
    return jnp.concatenate([array.reshape(-1) for array in arrays])


@partial(jax.jit, static_argnums=0)
def take_apart(shapes: tuple[tuple[int, ...], ...], array: Array) -> list[Array]:
    """The arrays of these shapes again."""
    parts = jnp.split(array, np.cumsum([math.prod(shape) for shape in shapes])[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


class Program:
    """Everything of a training that is not an array, hashed once: what the compiled functions are compiled for.

    It also knows how the state's arrays go in and out: each costs a call some microseconds, so small ones of a dtype are one.
    """

    def __init__(self, algorithm: Any, state: Any, is_warmup: bool):
        leaves, self.structure = jax.tree.flatten(state)
        self.algorithm, self.is_warmup = algorithm, is_warmup
        self.others = tuple(None if eqx.is_array(leaf) else leaf for leaf in leaves)
        arrays = [leaf for leaf in leaves if eqx.is_array(leaf)]
        self.key_kinds = tuple(key_kind(leaf) for leaf in arrays)
        data = [leaf if key_kind(leaf) is None else jr.key_data(leaf) for leaf in arrays]
        self.shapes = tuple(leaf.shape for leaf in data)
        self.groups = grouped(data)
        self._identity = (algorithm, is_warmup, self.structure, self.others, self.key_kinds, self.shapes, self.groups)
        self._hash = hash(self._identity)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: Any) -> bool:
        return self is other or (isinstance(other, Program) and self._identity == other._identity)

    def pack(self, state: Any) -> list[Array]:
        """The arrays of a state, keys as their data, small ones put together."""
        arrays = (leaf for leaf in jax.tree.leaves(state) if eqx.is_array(leaf))
        data = [leaf if key_kind(leaf) is None else jr.key_data(leaf) for leaf in arrays]
        small = {i for group in self.groups for i in group}
        packed = [put_together([data[i] for i in group]) for group in self.groups]
        return packed + [leaf for i, leaf in enumerate(data) if i not in small]

    def unpack(self, arrays: list[Array]) -> Any:
        """The state with these arrays."""
        data: dict[int, Array] = {}
        for group, array in zip(self.groups, arrays, strict=False):
            parts = take_apart(tuple(self.shapes[i] for i in group), array)
            data |= dict(zip(group, parts, strict=True))
        large = iter(arrays[len(self.groups) :])
        leaves = [data[i] if i in data else next(large) for i in range(len(self.shapes))]
        kinds = zip(leaves, self.key_kinds, strict=True)
        rest = iter([leaf if kind is None else jr.wrap_key_data(leaf, impl=kind) for leaf, kind in kinds])
        return jax.tree.unflatten(self.structure, [next(rest) if leaf is None else leaf for leaf in self.others])

    def actor(self, state: Any) -> Any:
        return uniform_actor(state.env.action_space) if self.is_warmup else self.algorithm.actor(state)

    def split(self, key: Key[Array, ""]) -> Key[Array, " keys"]:
        """The next key of the training, and the keys to collect and to improve with, as the native loop splits them."""
        return jr.split(key, 2 if self.is_warmup else 3)


def draw(program: Program, state: Any) -> tuple[PyTree, UInt[Array, "num_steps num_envs words"]]:
    """Noise and the data of keys for the rollout that starts from `state`."""
    shape = program.algorithm.num_steps, program.algorithm.num_envs
    key_noise, key_steps, _ = jr.split(program.split(state.key)[1], 3)
    noise = rollout_noise(program.actor(state), *shape, key=key_noise)
    return noise, jr.key_data(jr.split(key_steps, (*shape, 3))[:, :, 2])


def speak(program: Program, state: Any, policy_state: PyTree, noise: PyTree, observation: PyTree, mask: Any) -> Any:
    """What `Actor.act` gives, for every environment."""
    return jax.vmap(program.actor(state).act)(policy_state, observation, mask, noise)


@partial(jax.jit, static_argnums=0)
def blank_tape(program: Program, arrays: list[Array]) -> Tape:
    """A tape with nothing on it yet, for the rollout that starts from the state."""
    state = program.unpack(arrays)
    noise, reset_keys = draw(program, state)
    at = state.rollout
    first = jax.tree.map(lambda x: x[0], noise)
    _, action, _, extras = jax.eval_shape(
        partial(speak, program), state, at.policy_state, first, at.observation, state.env.action_mask(at.env_state)
    )
    said = at.policy_state, action, extras
    blank = jax.tree.map(lambda x: jnp.zeros((program.algorithm.num_steps, *x.shape), x.dtype), said)
    return Tape(at.policy_state, noise, reset_keys, *blank)


def spoken(
    program: Program,
    state: Any,
    tape: Tape,
    at: Int[Array, " num_envs"],
    observation: PyTree,
    mask: Any,
    begins: Bool[Array, " num_envs"],
) -> tuple[Tape, PyTree]:
    """The tape with the step `at` of each environment spoken on, and the actions to execute."""
    environments = jnp.arange(at.shape[0])
    noise, keys = jax.tree.map(lambda x: x.at[at, environments].get(mode="clip"), (tape.noise, tape.reset_keys))
    before = forget(state, tape.policy_state, begins, keys)
    policy_state, raw_action, action, extras = speak(program, state, before, noise, observation, mask)
    # An environment that is ahead of the others speaks past the end of the tape, where it is not heard.
    *_, states, actions, extras_tape = tape
    said = jax.tree.map(
        lambda tape, x: tape.at[at, environments].set(x, mode="drop"),
        (states, actions, extras_tape),
        (before, raw_action, extras),
    )
    return Tape(policy_state, tape.noise, tape.reset_keys, *said), action


def forget(state: Any, policy_state: PyTree, begins: Any, keys: UInt[Array, "num_envs words"]) -> PyTree:
    """The policy's state as it goes into the next step: a fresh one where an episode begins."""
    fresh = jax.vmap(lambda key: state.policy.reset(key=key))(jr.wrap_key_data(keys, impl=jr.key_impl(state.key)))
    return jax.vmap(select)(begins, fresh, policy_state)


@partial(jax.jit, static_argnums=0, donate_argnums=2)
def act(
    program: Program,
    arrays: list[Array],
    tape: Tape,
    at: Int[Array, " num_envs"],
    observation: PyTree,
    mask: Any,
    begins: Bool[Array, " num_envs"],
) -> tuple[Tape, PyTree]:
    """As `spoken`."""
    return spoken(program, program.unpack(arrays), tape, at, observation, mask, begins)


class Metrics(eqx.Module):
    """The metrics of one iteration as one array, since each that comes over costs."""

    names: tuple[str, ...] = eqx.field(static=True)
    values: Float[Array, " metrics"]


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def learn(
    program: Program,
    arrays: list[Array],
    tape: Tape,
    seen: Seen,
    observation: PyTree,
    mask: Any,
    begins: Bool[Array, " num_envs"],
) -> tuple[list[Array], Tape, PyTree, Metrics]:
    """The state after one iteration's learning (storing, in the warm-up), and the first actions of the next rollout.

    These go along since a call of its own would cost more than they do. The tape is that of the next rollout.
    """
    state = program.unpack(arrays)
    transitions = Transition(**seen._asdict(), action=tape.actions, policy_state=tape.policy_states, extras=tape.extras)
    key, _, *key_improve = program.split(state.key)
    state = eqx.tree_at(lambda s: s.key, state, key)
    metrics: dict[str, Array] = {}
    if program.is_warmup:
        state = program.algorithm.store(state, transitions)
    else:
        state, metrics = program.algorithm.improve(state, transitions, key=key_improve[0])
    noise, reset_keys = draw(program, state)
    tape, at = tape._replace(noise=noise, reset_keys=reset_keys), jnp.zeros(begins.shape, jnp.int32)
    tape, action = spoken(program, state, tape, at, observation, mask, begins)
    values = [jnp.asarray(value, jnp.float32) for value in metrics.values()]
    return program.pack(state), tape, action, Metrics(tuple(metrics), jnp.stack(values) if values else jnp.zeros(0))
