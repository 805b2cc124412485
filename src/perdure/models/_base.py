"""What all agents share: one object for an algorithm, its policy, and the training state."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Bool, Key, PyTree

import perdure.export
from perdure.algorithm import AbstractAlgorithm, TrainState, carry_over
from perdure.callback import AbstractCallback
from perdure.checkpoint import load, put_back, save
from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv
from perdure.evaluation import ReturnSummary, evaluate, summarize
from perdure.policy import AbstractPolicy, HasSpaces
from perdure.space import exact_value
from perdure.utils import set_device

from ._act import act
from ._environment import as_env
from ._pickled import Given, files_of, load_files
from ._same_task import is_same_task, standing
from ._settings import with_settings

Self = TypeVar("Self", bound="AbstractAgent")  # typing's own is refused by run-time type checkers
Untrained = Callable[[HasSpaces | None], AbstractPolicy]  # a policy for an environment, or for none that is known yet


class AbstractAgent(ABC):
    """An algorithm, its policy, and the training state. Subclasses say in which words it is trained and asked to act.

    It adds nothing to what `perdure.algorithm` and `perdure.checkpoint` do; it remembers what they hand around.

    Args:
        algorithm: What learns.
        policy: What is trained; or a function that makes it for the spaces of an environment.
        env: What is trained on, as `as_env` takes it.
        seed: Of everything random; by default from numpy's global generator, which `perdure.utils.set_seed` seeds.
        device: A name, or what `perdure.utils.set_device` gave.
    """

    algorithm_class: ClassVar[type[AbstractAlgorithm] | None] = None  # of a subclass for one algorithm

    def __init__(
        self,
        algorithm: AbstractAlgorithm,
        policy: AbstractPolicy | Untrained,
        *,
        env: object = None,
        seed: int | None = None,
        device: str | jax.Device | None = None,
    ):
        if isinstance(device, str):
            set_device(device)
        self.algorithm = algorithm
        self._untrained: Untrained = Given(policy) if isinstance(policy, AbstractPolicy) else policy
        self._env = env  # as it was given
        self._training_env: AbstractEnv | HostEnv | None = None  # what `training_state` is of
        self.training_state: TrainState | None = None  # None before the first training
        self._needs_refill = False
        self._host: dict[str, Any] | None = None  # where the host environment of a loaded state stood
        self._key = jr.key(int(np.random.randint(2**31)) if seed is None else seed)

    @property
    def policy(self) -> AbstractPolicy:
        """The policy as it is now; it acts, saves and exports without the agent."""
        return self._untrained(None) if self.training_state is None else self.training_state.policy

    @abstractmethod
    def train(self: Self, env: object = None, batch_size: int | None = None) -> Self:
        """Train, on from where the last call ended, and return itself."""

    @abstractmethod
    def predict(self, observation: object, policy_state: PyTree = None, /) -> tuple[PyTree, PyTree]:
        """`(action, policy_state)` for one observation, or for a batch with one leading axis."""

    def _next_key(self) -> Key[Array, ""]:
        self._key, key = jr.split(self._key)
        return key

    def _train(
        self: Self,
        env: object,
        batch_size: int | None,
        *,
        num_episodes: int,
        total_timesteps: int | None,
        callbacks: Sequence[AbstractCallback],
        max_episode_steps: int,
        settings: Mapping[str, object],
        fresh: bool = False,
    ) -> Self:
        """Train for `total_timesteps` environment steps, or for `num_episodes` if that is None.

        What an algorithm takes before it learns (`steps_before_learning`) is not counted.

        Raises: ValueError for settings that the algorithm does not have or refuses, or without any environment.
        """
        ready, is_same = self._ready_env(env, max_episode_steps, settings)
        policy = self._untrained(ready) if self.training_state is None else self.policy
        before, self.algorithm = self.algorithm, with_settings(self.algorithm, policy, ready, batch_size, settings)
        host = ready if isinstance(ready, HostEnv) else None
        if self.training_state is None or fresh:
            self.training_state = self.algorithm.init(ready, policy, key=self._next_key())
            self._needs_refill = False
        elif not is_same or before != self.algorithm:
            self._carry_over(before, self.training_state, ready, is_same)
        if self._needs_refill:
            self.training_state = self.algorithm.refill(self.training_state, env=host)
        self._training_env, self._needs_refill = ready, False
        steps, episodes = (
            (total_timesteps, None) if total_timesteps else (num_episodes * max_episode_steps, num_episodes)
        )
        self.training_state = self.algorithm.run(
            self.training_state, steps, episodes=episodes, callbacks=callbacks, env=host
        )
        return self

    def _carry_over(
        self, before: AbstractAlgorithm, state: TrainState, env: AbstractEnv | HostEnv, is_same: bool
    ) -> None:
        """Go on with the settings of now and in `env`, and say what of the training could not go along."""
        has_buffer, key = not self._needs_refill, self._next_key()
        carried = carry_over(before, self.algorithm, state, env, same_env=is_same, has_buffer=has_buffer, key=key)
        self.training_state, self._needs_refill = carried.state, carried.needs_refill
        if is_same and not carried.begun_anew:
            return
        why = "These settings need other arrays" if is_same else f"{env.name} is not as the {state.env.name} trained on"
        anew = ", ".join(carried.begun_anew or ["its episodes alone"])
        warnings.warn(
            f"{why}, so training goes on with what fits: {', '.join(carried.kept)}. Begun anew: {anew}. "
            "To begin a new training: train(..., fresh=True).",
            stacklevel=4,
        )

    def _ready_env(
        self, env: object, max_episode_steps: int, settings: Mapping[str, object]
    ) -> tuple[AbstractEnv | HostEnv, bool]:
        """The environment to train on, and whether it is the one of the training under way, by what it is made of."""
        if env is None:
            env = self._env
        if env is None:
            raise ValueError(f"{type(self).__name__} has no environment to train on. Give one: train(env).")
        same = env is self._env or (isinstance(env, str) and env == self._env)
        state, now = self.training_state, self._training_env
        wanted = settings.get("num_envs")
        num_envs = wanted if isinstance(wanted, int) else 1 if state is None else self.algorithm.num_envs
        if same and now is not None and (isinstance(now, AbstractEnv) or num_envs == now.num_envs):
            return now, True
        self._env, ready = env, as_env(env, max_episode_steps, num_envs=num_envs)
        if state is None:
            return ready, False
        if isinstance(now, HostEnv):
            self._host = standing(now)
        if isinstance(ready, HostEnv) and ready.observation is None:
            ready.reset(seed=0)  # tells whether there are action masks
        if not is_same_task(ready, now if isinstance(now, AbstractEnv) else state.env, self._host):
            return ready, False
        if isinstance(ready, HostEnv) and ready.num_envs == self.algorithm.num_envs:
            put_back(ready, self._host)
        return ready, True

    def _act(
        self,
        observation: object,
        policy_state: PyTree,
        *,
        deterministic: bool,
        exploration_noise: float,
        action_mask: Bool[np.ndarray, "..."] | Bool[Array, "..."] | None,
    ) -> tuple[PyTree, PyTree]:
        """`(action, policy_state)` for one observation as the environment gives it, or for a batch with one leading axis.

        Raises: ValueError for an observation of another shape, and as `perdure.space.exact_value`.
        """
        policy = self.policy
        like = jax.eval_shape(policy.observation_space.canonical)
        given = exact_value(policy.observation_space, observation)
        shapes = [x.shape for x in jax.tree.leaves(given)]
        ours = [leaf.shape for leaf in jax.tree.leaves(like)]
        is_batch = shapes != ours
        if is_batch and ([shape[1:] for shape in shapes] != ours or len({shape[:1] for shape in shapes}) != 1):
            raise ValueError(
                f"The observation has shape {shapes[0] if len(shapes) == 1 else shapes}, but an observation is of "
                f"{policy.observation_space}. Give one, or a batch of them with one leading axis."
            )
        key = None if deterministic else self._next_key()
        noise = jnp.asarray(exploration_noise, jnp.float32)
        action, policy_state = act(policy, given, policy_state, action_mask, key, noise, is_batch=is_batch)
        return jax.device_get(action), policy_state

    def evaluate(self, env: object = None, *, num_episodes: int = 20, deterministic: bool = True) -> ReturnSummary:
        """What the policy earns over `num_episodes`, each from its own random start; by default where it was trained."""
        env = env if env is not None else self._training_env if self._training_env is not None else self._env
        if env is None:
            raise ValueError(f"{type(self).__name__} has no environment to play in. Give one: evaluate(env).")
        key = self._next_key()
        return summarize(
            evaluate(self.policy, as_env(env), num_episodes=num_episodes, deterministic=deterministic, key=key)
        )

    def export(
        self, directory: str | Path, targets: Sequence[str] = ("onnx",), **settings: Any
    ) -> perdure.export.ExportReport:
        """Write the policy for these targets, each proven in its own runtime; see `perdure.export.export`."""
        return perdure.export.export(self.policy, directory, targets, **settings)

    def save(self, dirpath: str | Path, *, buffer: bool = False, config: bool = False, force: bool = False) -> None:
        """Save everything in the directory `dirpath`, see `perdure.checkpoint.save`; the replay buffer with `buffer`.

        With `config`, `model_config.json` beside it tells in words what the agent is. With `force` an older checkpoint is
        replaced, and stays valid until the new one is whole.

        Raises: FileExistsError if the directory is there and not `force`, ValueError without a training to save (use
        `perdure.checkpoint.save_policy` for a policy alone) or for `buffer=True` without one.
        """
        if self.training_state is None:
            raise ValueError(
                "This agent was never trained, so there is no training state to save. Train it, or save the policy alone: "
                "perdure.checkpoint.save_policy(path, agent.policy)."
            )
        save(
            dirpath,
            self.algorithm,
            self.training_state,
            env=self._training_env if isinstance(self._training_env, HostEnv) else None,
            buffer=buffer,
            config=config,
            force=force,
            metadata={"agent": type(self).__name__, "key": jr.key_data(self._key).tolist()},
        )

    @classmethod
    def load(cls: type[Self], dirpath: str | Path, *, buffer: bool = False) -> Self:
        """The agent that was saved, without constructor arguments; it needs no environment to predict.

        Without `buffer` the replay buffer is filled anew, with random actions, when training goes on.

        Raises: TypeError if it is another algorithm's, and what `perdure.checkpoint.load` raises.
        """
        found = load(dirpath, buffer=buffer)
        if cls.algorithm_class is not None and type(found.algorithm) is not cls.algorithm_class:
            raise TypeError(
                f"{dirpath} holds {found.metadata.get('agent', 'a state')} ({type(found.algorithm).__name__}), not "
                f"{cls.__name__}. "
                "Load it with that class, or with perdure.models.Agent."
            )
        agent = cls.__new__(cls)
        AbstractAgent.__init__(agent, found.algorithm, found.policy, seed=0)
        if "key" in found.metadata:  # not where `perdure.checkpoint.save` saved it without an agent
            agent._key = jr.wrap_key_data(jnp.asarray(found.metadata["key"], jnp.uint32))
        agent.training_state, agent._needs_refill, agent._host = found.state, not found.has_buffer, found.host
        if found.state is not None and not hasattr(found.state.env, "task"):
            agent._env = agent._training_env = found.state.env
        return agent

    def __getstate__(self) -> dict[str, Any]:
        """For pickles and copies: the content of a checkpoint, replay buffer and all, and of a policy's file.

        An environment of Gymnasium's is left out: give it to `train`, which goes on where it stood, see `HostEnv.restore`.
        """
        env, training_env = (x if isinstance(x, str | AbstractEnv) else None for x in (self._env, self._training_env))
        has_buffer = hasattr(self.training_state, "buffer") and not self._needs_refill
        files = {} if self.training_state is None else files_of(lambda path: self.save(path, buffer=has_buffer))
        untrained = self._untrained if self.training_state is None else None
        own = {"algorithm": self.algorithm, "env": env, "training_env": training_env, "untrained": untrained}
        return {**own, "key": np.asarray(jr.key_data(self._key)), "files": files, "has_buffer": has_buffer}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        env, files = state["training_env"], state["files"]
        found = load_files(files, buffer=state["has_buffer"], env=env) if files else None
        policy = state["untrained"] if found is None else found.policy
        AbstractAgent.__init__(self, state["algorithm"], policy, env=state["env"], seed=0)
        self._key = jr.wrap_key_data(jnp.asarray(state["key"]))
        if found is not None:
            self.training_state, self._needs_refill, self._host = found.state, not found.has_buffer, found.host
            self._training_env = env

    def __repr__(self) -> str:
        steps = 0 if self.training_state is None else self.algorithm.steps_taken(self.training_state)
        return f"{type(self).__name__}({type(self.policy).__name__}, {steps:,} steps)"
