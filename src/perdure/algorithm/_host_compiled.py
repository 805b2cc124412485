"""What is compiled of training on a host environment: acting with every environment once, and learning.

What the policy does stays on the device, in the `RolloutBuffer`; what is observed of the environments comes over once an
iteration. Keys go in and out as numbers: with a typed key among its arguments or results, JAX takes a millisecond more a call.
"""

import math
from functools import partial
from typing import Generic, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, UInt

from perdure._core import select

from ._rollout import Behavior, Mask, Transition, rollout_noise, uniform_behavior
from ._training import State, Trains, TrainState

SMALL = 2**14  # bytes up to which copying an array costs less than handing it over


class RolloutBuffer(NamedTuple):
    """What the policy does during one rollout, and the random numbers that it does it with."""

    policy_state: PyTree  # now; leaves (num_envs, ...)
    noise: PyTree  # leaves (num_steps, num_envs, ...)
    reset_keys: UInt[Array, "num_steps num_envs words"]  # the data of keys
    policy_states: PyTree  # that went in; leaves (num_steps, num_envs, ...), as those that follow
    actions: PyTree  # raw
    extras: PyTree


class Observed(NamedTuple):
    """What is observed of the environments during one rollout: numpy arrays (num_steps, num_envs, ...), see `Transition`."""

    observation: PyTree
    next_observation: PyTree
    action_mask: Bool[np.ndarray, "num_steps num_envs choices"] | None
    next_action_mask: Bool[np.ndarray, "num_steps num_envs choices"] | None
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


class StaticTraining(Generic[State]):
    """Everything of a training that is not an array, hashed once: what the compiled functions are compiled for.

    It also knows how the state's arrays go in and out: each costs a call some microseconds, so small ones of a dtype are one.
    """

    def __init__(self, algorithm: Trains[State], state: State, is_warmup: bool):
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

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, StaticTraining) and self._identity == other._identity)

    def pack(self, state: State) -> list[Array]:
        """The arrays of a state, keys as their data, small ones put together."""
        arrays = (leaf for leaf in jax.tree.leaves(state) if eqx.is_array(leaf))
        data = [leaf if key_kind(leaf) is None else jr.key_data(leaf) for leaf in arrays]
        small = {i for group in self.groups for i in group}
        packed = [put_together([data[i] for i in group]) for group in self.groups]
        return packed + [leaf for i, leaf in enumerate(data) if i not in small]

    def unpack(self, arrays: list[Array]) -> State:
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

    def behavior(self, state: State) -> Behavior:
        """How to act on one environment: at random in the warm-up."""
        return uniform_behavior(state.env.action_space) if self.is_warmup else self.algorithm.behavior(state)

    def split(self, key: Key[Array, ""]) -> Key[Array, " keys"]:
        """The next key of the training, and the keys to collect and to improve with, as the native loop splits them."""
        return jr.split(key, 2 if self.is_warmup else 3)


def draw(static: StaticTraining, state: TrainState) -> tuple[PyTree, UInt[Array, "num_steps num_envs words"]]:
    """Noise and the data of keys for the rollout that starts from `state`."""
    shape = static.algorithm.num_steps, static.algorithm.num_envs
    key_noise, key_steps, _ = jr.split(static.split(state.key)[1], 3)
    noise = rollout_noise(static.behavior(state), *shape, key=key_noise)
    return noise, jr.key_data(jr.split(key_steps, (*shape, 3))[:, :, 2])


def act_everywhere(
    static: StaticTraining, state: TrainState, policy_state: PyTree, noise: PyTree, observation: PyTree, mask: Mask
) -> tuple[PyTree, PyTree, PyTree, PyTree]:
    """What `Behavior.act` gives, for every environment."""
    return jax.vmap(static.behavior(state).act)(policy_state, observation, mask, noise)


def act_and_record(
    static: StaticTraining,
    state: TrainState,
    buffer: RolloutBuffer,
    at: Int[Array, " num_envs"],
    observation: PyTree,
    mask: Mask,
    begins: Bool[Array, " num_envs"],
) -> tuple[RolloutBuffer, PyTree]:
    """The buffer with the step `at` of each environment recorded, and the actions to execute."""
    environments = jnp.arange(at.shape[0])
    noise, keys = jax.tree.map(lambda x: x.at[at, environments].get(mode="clip"), (buffer.noise, buffer.reset_keys))
    before = forget(state, buffer.policy_state, begins, keys)
    policy_state, raw_action, action, extras = act_everywhere(static, state, before, noise, observation, mask)
    # An environment that is ahead of the others acts past the end of the buffer, where nothing is recorded.
    *_, states, actions, all_extras = buffer
    recorded = jax.tree.map(
        lambda buffer, x: buffer.at[at, environments].set(x, mode="drop"),
        (states, actions, all_extras),
        (before, raw_action, extras),
    )
    return RolloutBuffer(policy_state, buffer.noise, buffer.reset_keys, *recorded), action


def forget(
    state: TrainState, policy_state: PyTree, begins: Bool[Array, " num_envs"], keys: UInt[Array, "num_envs words"]
) -> PyTree:
    """The policy's state as it goes into the next step: a fresh one where an episode begins."""
    fresh = jax.vmap(lambda key: state.policy.reset(key=key))(jr.wrap_key_data(keys, impl=jr.key_impl(state.key)))
    return jax.vmap(select)(begins, fresh, policy_state)


@partial(jax.jit, static_argnums=0)
def begin_rollout(
    static: StaticTraining,
    arrays: list[Array],
    policy_state: PyTree,
    observation: PyTree,
    mask: Mask,
    begins: Bool[Array, " num_envs"],
) -> tuple[RolloutBuffer, PyTree]:
    """The buffer of the rollout that starts from the state, its first step recorded, and the first actions to execute.

    Every rollout begins with this program, whether learning went before it or a chunk begins: two programs may round alike
    sums differently, and then what is learned would depend on where the clock cuts the chunks.
    """
    state = static.unpack(arrays)
    noise, reset_keys = draw(static, state)
    first = jax.tree.map(lambda x: x[0], noise)
    _, action, _, extras = jax.eval_shape(
        partial(act_everywhere, static), state, policy_state, first, observation, mask
    )
    recorded = policy_state, action, extras
    blank = jax.tree.map(lambda x: jnp.zeros((static.algorithm.num_steps, *x.shape), x.dtype), recorded)
    buffer, at = RolloutBuffer(policy_state, noise, reset_keys, *blank), jnp.zeros(begins.shape, jnp.int32)
    return act_and_record(static, state, buffer, at, observation, mask, begins)


@partial(jax.jit, static_argnums=0, donate_argnums=2)
def act(
    static: StaticTraining,
    arrays: list[Array],
    buffer: RolloutBuffer,
    at: Int[Array, " num_envs"],
    observation: PyTree,
    mask: Mask,
    begins: Bool[Array, " num_envs"],
) -> tuple[RolloutBuffer, PyTree]:
    """As `act_and_record`."""
    return act_and_record(static, static.unpack(arrays), buffer, at, observation, mask, begins)


class Metrics(eqx.Module):
    """The metrics of one iteration as one array, since each that comes over costs."""

    names: tuple[str, ...] = eqx.field(static=True)
    values: Float[Array, " metrics"]


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def learn(
    static: StaticTraining, arrays: list[Array], buffer: RolloutBuffer, observed: Observed
) -> tuple[list[Array], Metrics]:
    """The state after one iteration's learning (storing, in the warm-up)."""
    state = static.unpack(arrays)
    transitions = Transition(
        **observed._asdict(), action=buffer.actions, policy_state=buffer.policy_states, extras=buffer.extras
    )
    key, _, *key_improve = static.split(state.key)
    state = eqx.tree_at(lambda s: s.key, state, key)
    metrics: dict[str, Array] = {}
    if static.is_warmup:
        state = static.algorithm.store(state, transitions)
    else:
        state, metrics = static.algorithm.improve(state, transitions, key=key_improve[0])
    values = [jnp.asarray(value, jnp.float32) for value in metrics.values()]
    return static.pack(state), Metrics(tuple(metrics), jnp.stack(values) if values else jnp.zeros(0))
