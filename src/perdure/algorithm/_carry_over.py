"""Going on with other settings, in another environment, or in another number of them: what of a training state is kept."""

import dataclasses
from typing import Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv
from perdure.policy import AbstractPolicy

from ._base import AbstractAlgorithm
from ._host import check_num_envs, seed_from, standing_at
from ._off_policy import AbstractLearner
from ._reward_scale import RewardScale
from ._training import State

Part = TypeVar("Part", bound=PyTree)
COUNTERS = ("env", "key", "iteration", "steps_ahead")  # set by `carry_over` itself
REPLAY = ("buffer", "priorities")  # places in a replay buffer, which make sense together alone


@dataclasses.dataclass(frozen=True)
class CarriedOver(Generic[State]):
    """A state to go on from, and what it is made of."""

    state: State
    kept: list[str]  # parts of the state before, by their names
    begun_anew: list[str]
    needs_refill: bool  # there is a replay buffer, which is empty: `algorithm.refill`


def carry_over(
    before: AbstractAlgorithm[State],
    now: AbstractAlgorithm[State],
    state: State,
    env: AbstractEnv | HostEnv,
    *,
    same_env: bool,
    has_buffer: bool = True,
    key: Key[Array, ""],
) -> CarriedOver[State]:
    """`state`, which is of a training by `before`, for one by `now` on `env`: all of it that still has its shape.

    With `same_env` the environments stand where they stood, if there are as many; else their episodes begin anew. The
    steps taken are those that happened: `now.steps_taken` says of the new state what `before.steps_taken` says of the old.

    Args:
        has_buffer: The replay buffer of `state` is filled.
        key: Of what begins anew.

    Raises: as `AbstractAlgorithm.init`.
    """
    host = env if isinstance(env, HostEnv) else None
    if host is not None:
        check_num_envs(now, host)
        if host.observation is None or not same_env or host.num_envs != before.num_envs:
            host.reset(seed=seed_from(key))
    played = env.spec if isinstance(env, HostEnv) else env
    blank = eqx.filter_eval_shape(now.begin, played, state.policy, key=key)
    names = [field.name for field in dataclasses.fields(blank) if field.name not in COUNTERS]
    lost = () if same_env else ("rollout",)
    whole = [name for name in names if name not in lost and alike(getattr(state, name), getattr(blank, name))]
    rest = [name for name in names if name not in whole]
    fields: dict[str, PyTree] = {"env": state.env if same_env else played}
    kept, begun_anew = list[str](), list[str]()

    def begin(policy: AbstractPolicy, key: Key[Array, ""]) -> dict[str, PyTree]:
        """The other parts alone: a replay buffer that is kept is not to be there twice."""
        fresh = now.begin(played, policy, key=key)
        return {name: getattr(fresh, name) for name in rest}

    fresh = eqx.filter_jit(begin)(state.policy, key) if rest else {}
    if host is not None and "rollout" in rest:
        fresh["rollout"] = standing_at(host, dataclasses.replace(state, rollout=fresh["rollout"])).rollout
    for name in names:
        if name in whole:
            kept += [] if getattr(state, name) is None else [name]
        elif name in lost or (name == "priorities" and "buffer" in begun_anew):
            fields[name] = fresh[name]
        else:
            fields[name] = fitting(getattr(state, name), fresh[name], name, kept, begun_anew)
    if not has_buffer:
        kept = [name for name in kept if name not in REPLAY]
    steps = before.steps_taken(state)
    iteration = max((steps - now.steps_before_learning) // now.steps_per_iteration, 0)
    fields["iteration"] = jnp.asarray(iteration, jnp.int32)
    if hasattr(state, "steps_ahead"):
        ahead = steps - now.steps_before_learning - iteration * now.steps_per_iteration
        fields["steps_ahead"] = jnp.asarray(ahead, jnp.int32)
    needs_refill = "buffer" in names and ("buffer" in begun_anew or not has_buffer)
    return CarriedOver(dataclasses.replace(state, **fields), kept, begun_anew, needs_refill)


def fitting(old: Part, new: Part, name: str, kept: list[str], begun_anew: list[str]) -> Part:
    """`old` if it has the shape of `new`, or of its members those that have; names are added to the two lists."""
    if old is None and new is None:
        return new
    if alike(old, new):
        kept.append(name)
        return old
    if type(old) is type(new) and isinstance(new, AbstractLearner | RewardScale):
        members = [field.name for field in dataclasses.fields(new)]
        parts = {m: fitting(getattr(old, m), getattr(new, m), f"{name}.{m}", kept, begun_anew) for m in members}
        return dataclasses.replace(new, **parts)
    begun_anew.append(name)
    return new


def alike(old: PyTree, new: PyTree) -> bool:
    """The same structure, shapes and dtypes."""
    ours, theirs = (jax.tree.map(shape_of, tree) for tree in (old, new))
    return bool(eqx.tree_equal(ours, theirs))


def shape_of(leaf: PyTree) -> PyTree:
    """Of an array, or of its shape."""
    is_array = eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if is_array else leaf
