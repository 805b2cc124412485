"""Gymnasium environments, one or many side by side, as a training loop on the host wants them (extra `gym`).

Vector environments differ in when they begin the next episode; see
https://farama.org/Vector-Autoreset-Mode. `HostEnv` hides that: its steps always have both the true successor, which values
are bootstrapped from, and the observation to act on next.
"""

from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PyTree
from numpy.typing import ArrayLike

from perdure._core import (
    Action,
    FileFormatError,
    MissingExtraError,
    NonFiniteError,
    Observation,
    check_counts,
    import_extra,
    register,
)
from perdure.space import AbstractSpace, Box, Dict, Tuple, from_gymnasium

from .._base import AbstractEnv, State, TimeStep
from ._given import as_tree, check_legal, masks_in
from ._host_state import decode, encode, making_of, restore, state_of


class HostStep(NamedTuple):
    """What one step of all environments gives; numpy arrays with a leading axis `num_envs`."""

    next_observation: PyTree  # the true successor, also where the episode ends
    next_action_mask: Bool[np.ndarray, "num_envs choices"] | None
    reward: Float[np.ndarray, " num_envs"]
    terminated: Bool[np.ndarray, " num_envs"]
    truncated: Bool[np.ndarray, " num_envs"]
    happened: Bool[np.ndarray, " num_envs"]  # False where the environment spent the step on beginning an episode
    begins: Bool[np.ndarray, " num_envs"]  # an episode begins with `observation`
    observation: PyTree  # to act on next
    action_mask: Bool[np.ndarray, "num_envs choices"] | None  # of `observation`


@register(name="env.HostSpec")
@final
class HostSpec(AbstractEnv):
    """Stands for a host environment where only its spaces matter, such as in a training state. It cannot be stepped.

    `reset` and `step` have the right shapes and no meaning; the state is the action mask, if there is one.
    """

    task: str = eqx.field(static=True)
    observations: AbstractSpace = eqx.field(static=True)
    actions: AbstractSpace = eqx.field(static=True)
    has_masks: bool = eqx.field(static=True)

    @property
    def name(self) -> str:
        return self.task

    @property
    def observation_space(self) -> AbstractSpace:
        return self.observations

    @property
    def action_space(self) -> AbstractSpace:
        return self.actions

    def reset(self, *, key: Key[Array, ""]) -> tuple[State, Observation]:
        mask = jnp.ones(self.actions.mask_size, bool) if self.has_masks else None
        return mask, self.observations.canonical()

    def step(self, state: State, action: Action, *, key: Key[Array, ""]) -> TimeStep:
        no = jnp.zeros((), bool)
        return TimeStep(state, self.observations.canonical(), jnp.zeros((), jnp.float32), no, no)

    def action_mask(self, state: State) -> Bool[Array, " mask_size"] | None:
        return state


@final
class HostEnv:
    """A `gymnasium.Env`, or a `gymnasium.vector.VectorEnv` of any autoreset mode, to train and evaluate on.

    It has the spaces that policies are made for, so `env=HostEnv(...)` works wherever an environment's spaces are wanted.
    Environments that tell their legal actions do it by `info["action_mask"]`, as Gymnasium's Taxi does, or by a method
    `action_masks()`, as sb3-contrib's do. What they give is what is trained on: a number that the observation space cannot
    hold is an error. Environments in other processes are looked at there if `make_host` made them, or each is `checked`.

    Raises: TypeError for what is neither, or has a space without a counterpart here; MissingExtraError without Gymnasium 1.1.
    In `reset` and `step` ValueError for an observation outside the dtype or the choices of its space, and for an action mask
    that does not fit, or bars every action.
    """

    def __init__(self, env: Any):
        gymnasium = import_gymnasium()
        if isinstance(env, gymnasium.Env):
            single = env
            env = gymnasium.vector.SyncVectorEnv([lambda: single], autoreset_mode="SameStep")
        elif not isinstance(env, gymnasium.vector.VectorEnv):
            raise TypeError(
                f"HostEnv is for Gymnasium's environments, but this is {type(env).__name__}. "
                "Give a gymnasium.Env or a gymnasium.vector.VectorEnv; environments of perdure.env need no HostEnv."
            )
        check_within(env)
        self.envs = env
        self.num_envs = int(env.num_envs)
        self.observation_space = from_gymnasium(env.single_observation_space)
        self.action_space = from_gymnasium(env.single_action_space)
        one = getattr(env.unwrapped, "envs", [env])[0]
        self.name = str(getattr(one.spec, "id", None) or getattr(one.unwrapped, "name", type(one.unwrapped).__name__))
        mode = env.metadata.get("autoreset_mode")
        self._mode = getattr(mode, "value", mode) or "NextStep"  # what those do that name none
        vector = gymnasium.vector
        resets_some = mode is not None and isinstance(env.unwrapped, vector.SyncVectorEnv | vector.AsyncVectorEnv)
        # A reset by mask right at the end of an episode replaces the step that NextStep would spend on it.
        self._resets_by_mask = self._mode == "Disabled" or (self._mode == "NextStep" and resets_some)
        self._resetting = np.zeros(self.num_envs, bool)  # the next step of these only begins an episode
        self.observation: Observation = None  # to act on next; None before the first reset
        self.action_mask: Bool[np.ndarray, "num_envs choices"] | None = None  # of `observation`

    @property
    def spec(self) -> HostSpec:
        """What stands for this environment in a training state."""
        return HostSpec(self.name, self.observation_space, self.action_space, self.action_mask is not None)

    @property
    def making(self) -> list[str]:
        """What one of the environments is made of: classes and specifications with their settings, outermost first.

        Environments in other processes are known by what their vector says of them.
        """
        return making_of(self.envs)

    def reset(self, *, seed: int | None = None) -> Observation:
        """The first observations of new episodes. Environment `i` is seeded with `seed + i`."""
        observation, info = self.envs.reset(seed=seed)
        self._resetting = np.zeros(self.num_envs, bool)
        self.observation = as_tree(self.observation_space, observation)
        self.action_mask = masks_in(info, self.action_space, ~self._resetting)
        check_legal(self.action_mask, ~self._resetting)
        return self.observation

    def step(self, action: PyTree) -> HostStep:
        """What the actions lead to, one for each environment. Begins the next episode where one has ended.

        Raises: NonFiniteError (a ValueError) for a reward that is no finite float32, naming the environment and the reward;
        ValueError for observations and masks that do not fit, as for the class.
        """
        happened = ~self._resetting
        observation, reward, terminated, truncated, info = self.envs.step(as_action(self.action_space, action))
        next_observation = observation = as_tree(self.observation_space, observation)
        next_mask = mask = masks_in(info, self.action_space, ~terminated)
        done = terminated | truncated
        begins = self._resetting
        if self._mode == "SameStep":
            begins = done
            if done.any():
                next_observation, next_mask = self._finals(observation, mask, info, done, truncated & ~terminated)
        elif self._resets_by_mask:
            begins = done
            if done.any():
                observation, info = self.envs.reset(options={"reset_mask": done.astype(bool)})
                observation = as_tree(self.observation_space, observation)
                first_mask = masks_in(info, self.action_space, done)
                if mask is not None and first_mask is not None:
                    mask = np.where(done[:, None], first_mask, mask)
        else:
            self._resetting = done
        check_legal(mask, ~self._resetting)
        self.observation, self.action_mask = observation, mask
        reward = as_reward(reward)
        return HostStep(next_observation, next_mask, reward, terminated, truncated, happened, begins, observation, mask)

    def _finals(
        self, observation: PyTree, mask: np.ndarray | None, info: dict, done: np.ndarray, is_cut: np.ndarray
    ) -> tuple[Observation, np.ndarray | None]:
        """Successors and their masks where the vector environment shows the next episode already."""
        finals = jax.tree.map(np.copy, observation)
        for i in np.flatnonzero(done):
            final = as_tree(self.observation_space, info["final_obs"][i])
            for rows, value in zip(jax.tree.leaves(finals), jax.tree.leaves(final), strict=True):
                rows[i] = value
        if mask is None:
            return finals, None
        final_mask = masks_in(info.get("final_info", {}), self.action_space, is_cut)
        if final_mask is None and is_cut.any():
            raise ValueError(
                f"environment {int(is_cut.argmax())} tells no action mask where a time limit cuts an episode, but else it does. "
                "Tell one at every step."
            )
        if final_mask is None:  # episodes have ended for good, so nobody asks
            return finals, mask
        return finals, np.where(done[:, None], final_mask, mask)

    def state(self) -> dict[str, Any]:
        """Where the environments stand, as JSON: `restore` puts others of the same making there, in any process.

        Raises: NotSavable (a TypeError) naming the attribute that cannot be saved, such as the pipe to another process.
        """
        own = self.observation, self.action_mask, self._resetting
        return {"environment": state_of(self.envs), "own": encode(own), "making": self.making}

    def restore(self, saved: object) -> None:
        """Put the environments where `state` found others. Raises: FileFormatError if those were of another making."""
        if not isinstance(saved, dict) or saved.keys() - {"making"} != {"environment", "own"}:
            raise FileFormatError("the saved environment is no 'environment' and 'own'.")
        own = decode(saved["own"], None)
        restore(self.envs, saved["environment"])
        self.observation, self.action_mask, self._resetting = own

    def close(self) -> None:
        """End the environment's processes and windows."""
        self.envs.close()


def make_host(name: str, num_envs: int = 1, *, processes: bool = False, **settings: Any) -> HostEnv:
    """Gymnasium's environment of that name, `num_envs` times, stepped one after the other or each in its own process.

    `settings` go to `gymnasium.make`.

    Raises: ValueError if `num_envs` is below 1, and what `gymnasium.make` raises for an unknown name.
    """
    gymnasium = import_gymnasium()
    check_counts(num_envs=num_envs)
    envs = [lambda: checked(gymnasium.make(name, **settings))] * num_envs
    if processes:  # forked ones would inherit the threads of JAX half alive, and may hang
        return HostEnv(gymnasium.vector.AsyncVectorEnv(envs, context="spawn", autoreset_mode="SameStep"))
    return HostEnv(gymnasium.vector.SyncVectorEnv(envs, autoreset_mode="SameStep"))


def import_gymnasium() -> Any:
    """Gymnasium. Raises: MissingExtraError if there is none, or one before 1.1, which cannot say how it begins episodes."""
    gymnasium = import_extra("gymnasium", "gym")
    if not hasattr(gymnasium.vector, "AutoresetMode"):
        raise MissingExtraError(
            f"Gymnasium {gymnasium.__version__} is too old to train on. Install a newer one with: "
            'pip install "gymnasium>=1.1"',
            name="gymnasium",
        )
    return gymnasium


def checked(env: Any) -> Any:
    """A `gymnasium.Env` that looks at what it gives, as `HostEnv` makes of each in its own process.

    Its observations lose nothing in the dtype of its space, or it raises ValueError; and legal actions that it tells by a
    method `action_masks()` are in `info["action_mask"]`.
    """
    from ._checked_env import CheckedEnv

    return env if isinstance(env, CheckedEnv) else CheckedEnv(env)


def check_within(env: Any) -> None:
    """Make the environments of a vector `checked` ones, where they are in this process.

    Raises: TypeError if they tell their legal actions where we do not hear it.
    """
    vector, inner = import_gymnasium().vector, env.unwrapped
    if isinstance(inner, vector.SyncVectorEnv):
        inner.envs = [checked(one) for one in inner.envs]
        return
    if isinstance(inner, vector.AsyncVectorEnv):
        tells = any(inner.call("has_wrapper_attr", "action_masks")) and not all(
            inner.call("has_wrapper_attr", "is_checked")
        )
    else:
        tells = hasattr(env, "action_masks")
    if tells:
        raise TypeError(
            f"The environments of {type(inner).__name__} tell their legal actions by a method action_masks(), which is not "
            "called there. Make each of them a perdure.env.adapter.checked(env), or tell them in info['action_mask']."
        )


def as_reward(reward: ArrayLike) -> Float[np.ndarray, " num_envs"]:
    """The rewards of all environments. Raises: NonFiniteError for one that is not finite, or too large for float32."""
    given = np.asarray(reward)
    with np.errstate(over="ignore"):
        rewards = given.astype(np.float32)
    finite = np.isfinite(rewards)
    if not finite.all():
        i = int(finite.argmin())
        raise NonFiniteError(
            f"the reward of environment {i} is {given[i]}, but rewards are finite numbers up to 3.4e38 (None counts as nan). "
            "Look at the reward that this environment gives."
        )
    return rewards


def as_action(space: AbstractSpace, action: Action) -> PyTree:
    """Actions as Gymnasium takes them: numpy arrays of its default dtypes that the environment may write to."""
    match space:
        case Dict():
            return {name: as_action(member, action[name]) for name, member in space.items}
        case Tuple():
            return tuple(as_action(member, part) for member, part in zip(space.spaces, action, strict=True))
    array = np.array(action)
    return array if isinstance(space, Box) or array.dtype != np.int32 else array.astype(np.int64)
