"""One object for a policy, what trains it, and where it came from."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Float, Key

import perdure.export
from perdure._core import check_counts
from perdure.algorithm import AbstractAlgorithm, AbstractOnPolicy
from perdure.callback import AbstractCallback, ConsoleTable, ProgressBar
from perdure.checkpoint import load, put_back, save
from perdure.env.adapter import HostEnv, as_tree
from perdure.evaluation import ReturnSummary, evaluate, summarize
from perdure.policy import AbstractDeterministicPolicy, is_stateful
from perdure.utils import set_device

from ._environment import as_env

Self = TypeVar("Self", bound="Agent")  # typing's own is refused by run-time type checkers


class Agent:
    """An algorithm, its policy, and the training state: the same seven words for every algorithm.

    `train`, `predict`, `evaluate`, `save`, `load`, `export`, and `policy` for all that works on policies. It adds nothing
    to what `perdure.algorithm` and `perdure.checkpoint` do; it remembers what they hand around.

    `seed` is that of everything random; by default it comes from numpy's global generator, which
    `perdure.utils.set_seed` seeds. `device` is a name, or what `perdure.utils.set_device` gave.
    """

    algorithm_class: ClassVar[type[AbstractAlgorithm] | None] = None  # of a subclass for one algorithm

    def __init__(
        self,
        algorithm: AbstractAlgorithm,
        policy: Any,
        *,
        env: Any = None,
        seed: int | None = None,
        device: Any = None,
    ):
        if isinstance(device, str):
            set_device(device)
        self.algorithm = algorithm
        self._policy = policy
        self._env = env  # as it was given
        self._training_env: Any = None  # what `state` is of; a HostEnv, or one of ours
        self.state: Any = None  # of the training; None before the first
        self._needs_refill = False
        self._host: dict[str, Any] | None = None  # where the host environment of a loaded state stood
        self._key = jr.key(int(np.random.randint(2**31)) if seed is None else seed)

    @property
    def policy(self) -> Any:
        """The policy as it is now; it acts, saves and exports without the agent."""
        return self._policy if self.state is None else self.state.policy

    def _next_key(self) -> Key[Array, ""]:
        self._key, key = jr.split(self._key)
        return key

    def train(
        self: Self,
        env: Any = None,
        batch_size: int | None = None,
        *,
        n_episodes: int = 1000,
        total_timesteps: int | None = None,
        callbacks: Sequence[AbstractCallback] | None = None,
        display_count: int = 100,
        window_size: int = 100,
        max_steps: int = 1000,
        noise_scale: float | None = None,
        gamma: float | None = None,
        tau: float | None = None,
    ) -> Self:
        """Train for `n_episodes`, or for `total_timesteps` environment steps if that is given, and return itself.

        A second call goes on where the first one ended, on the same environment to the bit; another `env` begins a new
        training of the same policy. What an algorithm takes before it learns (`steps_before_learning`) is not counted.

        Args:
            env: An environment of ours or of Gymnasium (one or a vector), or its name; by default that of the constructor.
            batch_size: Steps in one update; on-policy, in one minibatch: the rollout is as long as `num_minibatches` of them.
            n_episodes: Episodes to end, all environments together.
            total_timesteps: Environment steps, in place of `n_episodes`.
            callbacks: Besides the table, or the progress bar where `total_timesteps` is given; `()` for silence.
            display_count: Episodes between two rows of the table.
            window_size: Episodes in the table's mean return.
            max_steps: Steps at which an episode is truncated.
            noise_scale: `noise` of the algorithm: standard deviation while exploring.
            gamma: `discount` of the algorithm.
            tau: `tau` of the algorithm.

        Raises: ValueError for settings that the algorithm does not have or refuses, or without any environment.
        """
        check_counts(n_episodes=n_episodes, max_steps=max_steps, total_timesteps=total_timesteps, batch_size=batch_size)
        ready = self._ready_env(env, max_steps)
        self.algorithm = self._with_settings(ready, batch_size, noise=noise_scale, discount=gamma, tau=tau)
        if callbacks is None or len(callbacks):
            shown = ConsoleTable(display_count=display_count, window_size=window_size)
            callbacks = [ProgressBar() if total_timesteps else shown, *(callbacks or ())]
        host = ready if isinstance(ready, HostEnv) else None
        if self.state is None or self._training_env is not ready:
            self.state = self.algorithm.init(ready, self.policy, key=self._next_key())
        elif self._needs_refill:
            self.state = self.algorithm.refill(self.state, env=host)
        self._training_env, self._needs_refill = ready, False
        if total_timesteps:
            self.state = self.algorithm.run(self.state, total_timesteps, callbacks=callbacks, env=host)
        else:
            most = n_episodes * max_steps
            self.state = self.algorithm.run(self.state, most, episodes=n_episodes, callbacks=callbacks, env=host)
        return self

    def _ready_env(self, env: Any, max_steps: int) -> Any:
        """The environment to train on: the one of the training under way, if `env` is that one."""
        if env is None:
            env = self._env
        if env is None:
            raise ValueError(f"{type(self).__name__} has no environment to train on. Give one: train(env).")
        same = env is self._env or (isinstance(env, str) and env == self._env)
        if self._training_env is not None and same:
            return self._training_env
        self._env, ready = env, as_env(env, max_steps)
        if self.state is not None and self._training_env is None:  # loaded: the state knows its environment
            if isinstance(ready, HostEnv):
                ready.reset(seed=0)
            if eqx.tree_equal(ready.spec if isinstance(ready, HostEnv) else ready, self.state.env):
                self._training_env = ready
                if isinstance(ready, HostEnv):
                    put_back(ready, self._host)
        return ready

    def _with_settings(self, env: Any, batch_size: int | None, **given: Any) -> AbstractAlgorithm:
        """The algorithm with what `train` was given, and with as many environments as there are."""
        algorithm, changes = self.algorithm, {name: value for name, value in given.items() if value is not None}
        fields = {field.name for field in dataclasses.fields(algorithm)}
        if unknown := sorted(changes.keys() - fields):
            argument = {"noise": "noise_scale", "discount": "gamma"}.get(unknown[0], unknown[0])
            raise ValueError(f"{argument}={changes[unknown[0]]}, but {type(algorithm).__name__} has no {unknown[0]}.")
        num_envs = env.num_envs if isinstance(env, HostEnv) else algorithm.num_envs
        changes["num_envs"] = num_envs
        if isinstance(algorithm, AbstractOnPolicy):
            minibatches = algorithm.num_minibatches
            if "num_minibatches" in fields and is_stateful(self.policy):
                minibatches = changes["num_minibatches"] = math.gcd(minibatches, num_envs)
            if batch_size is not None:
                changes["num_steps"] = max(batch_size * minibatches // num_envs, 1)
        elif batch_size is not None:
            changes["batch_size"] = batch_size
        return dataclasses.replace(algorithm, **changes)

    def predict(
        self,
        state: Any,
        hidden: Any = None,
        *,
        noise_scale: float = 0.1,
        train_mode: bool = False,
        action_mask: Any = None,
    ) -> tuple[Any, Any]:
        """`(action, hidden)` for one observation as the environment gives it, or for a batch with one leading axis.

        `hidden` is what the call before gave; None at the start of an episode, and always for a policy without a memory.
        The best action, or with `train_mode` an exploring one: a sample of a stochastic policy, the normalised action of a
        deterministic one with normal noise of deviation `noise_scale`.

        Raises: ValueError for an observation of another shape.
        """
        policy = self.policy
        like = jax.eval_shape(policy.observation_space.canonical)
        try:
            observation = as_tree(policy.observation_space, state)
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f"state is no observation of {policy.observation_space}: {error!r}") from error
        shapes = [x.shape for x in jax.tree.leaves(observation)]
        ours = [leaf.shape for leaf in jax.tree.leaves(like)]
        is_batch = shapes != ours
        if is_batch and ([shape[1:] for shape in shapes] != ours or len({shape[:1] for shape in shapes}) != 1):
            raise ValueError(
                f"state has shape {shapes[0] if len(shapes) == 1 else shapes}, but an observation is of "
                f"{policy.observation_space}. Give one, or a batch of them with one leading axis."
            )
        key = self._next_key() if train_mode else None
        scale = jnp.asarray(noise_scale, jnp.float32)
        action, hidden = act(policy, observation, hidden, action_mask, key, scale, is_batch=is_batch)
        return jax.device_get(action), hidden

    def evaluate(self, env: Any = None, *, n_episodes: int = 20, deterministic: bool = True) -> ReturnSummary:
        """What the policy earns over `n_episodes`, each from its own random start; by default where it was trained."""
        env = env if env is not None else self._training_env if self._training_env is not None else self._env
        if env is None:
            raise ValueError(f"{type(self).__name__} has no environment to play in. Give one: evaluate(env).")
        key = self._next_key()
        return summarize(
            evaluate(self.policy, as_env(env), num_episodes=n_episodes, deterministic=deterministic, key=key)
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
        if self.state is None:
            raise ValueError(
                "This agent was never trained, so there is no training state to save. Train it, or save the policy alone: "
                "perdure.checkpoint.save_policy(path, agent.policy)."
            )
        save(
            dirpath,
            self.algorithm,
            self.state,
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
        Agent.__init__(agent, found.algorithm, found.policy, seed=0)
        if "key" in found.metadata:  # not where `perdure.checkpoint.save` saved it without an agent
            agent._key = jr.wrap_key_data(jnp.asarray(found.metadata["key"], jnp.uint32))
        agent.state, agent._needs_refill, agent._host = found.state, not found.has_buffer, found.host
        if found.state is not None and not hasattr(found.state.env, "task"):
            agent._env = agent._training_env = found.state.env
        return agent

    def __repr__(self) -> str:
        steps = 0 if self.state is None else self.algorithm.steps_taken(self.state)
        return f"{type(self).__name__}({type(self.policy).__name__}, {steps:,} steps)"


@eqx.filter_jit
def act(
    policy: Any,
    observation: Any,
    hidden: Any,
    mask: Any,
    key: Key[Array, ""] | None,
    noise_scale: Float[Array, ""],
    *,
    is_batch: bool,
) -> tuple[Any, Any]:
    """`(action, hidden)`, see `Agent.predict`."""

    def one(observation: Any, hidden: Any, mask: Any, key: Any) -> tuple[Any, Any]:
        if isinstance(policy, AbstractDeterministicPolicy) and key is not None:
            hidden, action = policy.normalized_action(hidden, observation)
            action = jnp.clip(action + noise_scale * jr.normal(key, action.shape), -1.0, 1.0)
            return policy.environment_action(action), hidden
        hidden, action = policy(hidden, observation, key=key, action_mask=mask)
        return action, hidden

    if not is_batch:
        hidden = policy.reset(key=jr.key(0)) if hidden is None else hidden
        return one(observation, hidden, mask, key)
    size = jax.tree.leaves(observation)[0].shape[0]
    hidden = jax.vmap(lambda k: policy.reset(key=k))(jr.split(jr.key(0), size)) if hidden is None else hidden
    return jax.vmap(one)(observation, hidden, mask, None if key is None else jr.split(key, size))
