"""Agents for every algorithm: `PPO("CartPole-v1").train(total_timesteps=100_000)`."""

import dataclasses
import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar, get_type_hints

import jax
import numpy as np
from jax import random as jr
from jaxtyping import Array, Bool, PyTree

from perdure._core import check_counts
from perdure.algorithm import AbstractAlgorithm, unknown_setting
from perdure.callback import AbstractCallback, ConsoleTable, ProgressBar
from perdure.env.adapter import HostEnv
from perdure.policy import AbstractBodyRecord, AbstractPolicy

from ._base import AbstractAgent
from ._environment import as_env
from ._new_policy import new_policy

Self = TypeVar("Self", bound="Agent")


class Agent(AbstractAgent):
    """An algorithm, its policy, and the training state: the same seven words for every algorithm.

    `train`, `predict`, `evaluate`, `save`, `load`, `export`, and `policy` for all that works on policies.

    Args:
        algorithm: What learns.
        policy: What is trained.
        env: An environment of ours or of Gymnasium (one or a vector), or its name.
        seed: Of everything random; by default from numpy's global generator, which `perdure.utils.set_seed` seeds.
        device: A name such as "cpu" or "gpu:1", or what `perdure.utils.set_device` gave.
    """

    def train(
        self: Self,
        env: object = None,
        batch_size: int | None = None,
        *,
        num_episodes: int = 1000,
        total_timesteps: int | None = None,
        callbacks: Sequence[AbstractCallback] | None = None,
        max_episode_steps: int = 1000,
        fresh: bool = False,
        **settings: Any,
    ) -> Self:
        """Train for `num_episodes`, or for `total_timesteps` environment steps if that is given, and return itself.

        A second call, also after `load`, goes on where the first one ended: to the bit on the same environment, that is one
        made of the same classes with the same settings, whichever object it is. In another environment, in another number
        of them, or with other settings, all is kept that fits (policy, critics, optimisers, counters, statistics, the replay
        buffer), and a warning says in one line what was kept and what begins anew. Steps are counted as they happen. What
        an algorithm takes before it learns (`steps_before_learning`) is not counted.

        Args:
            env: An environment of ours or of Gymnasium (one or a vector), or its name; by default that of the constructor.
            batch_size: Steps in one update; on-policy, in one minibatch: the rollout is as long as `num_minibatches` of them.
            num_episodes: Episodes to end, all environments together.
            total_timesteps: Environment steps, in place of `num_episodes`.
            callbacks: Besides a table, or a progress bar where `total_timesteps` is given; `()` for silence. One of your own
                of these two kinds takes its place.
            max_episode_steps: Steps at which an episode is truncated.
            fresh: Begin a new training of the policy as it is.
            settings: Of the algorithm, from here on: `discount=0.9`.

        Raises: ValueError for settings that the algorithm does not have or refuses, or without any environment.
        """
        check_counts(
            num_episodes=num_episodes,
            max_episode_steps=max_episode_steps,
            total_timesteps=total_timesteps,
            batch_size=batch_size,
        )
        callbacks = [ConsoleTable()] if callbacks is None and not total_timesteps else callbacks
        callbacks = [ProgressBar()] if callbacks is None else callbacks
        if callbacks and not any(isinstance(one, ConsoleTable | ProgressBar) for one in callbacks):
            callbacks = [ProgressBar() if total_timesteps else ConsoleTable(), *callbacks]
        return self._train(
            env,
            batch_size,
            num_episodes=num_episodes,
            total_timesteps=total_timesteps,
            callbacks=callbacks,
            max_episode_steps=max_episode_steps,
            settings=settings,
            fresh=fresh,
        )

    def predict(
        self,
        observation: object,
        policy_state: PyTree = None,
        *,
        deterministic: bool = True,
        exploration_noise: float | None = None,
        action_mask: Bool[np.ndarray, "..."] | Bool[Array, "..."] | None = None,
    ) -> tuple[PyTree, PyTree]:
        """`(action, policy_state)` for one observation as the environment gives it, or for a batch with one leading axis.

        `policy_state` is what the call before gave; None at the start of an episode, and always for a policy without a
        memory. The best action, or, if not `deterministic`, an exploring one: a sample of a stochastic policy, the
        normalised action of a deterministic one with normal noise of deviation `exploration_noise` (by default that of the
        algorithm).

        Raises: ValueError for an observation of another shape, and, naming the entry, for one that is not finite or that the
        space does not hold: a float image where pixels are whole numbers, 3.7 where there are choices.
        """
        if exploration_noise is None:
            exploration_noise = getattr(self.algorithm, "exploration_noise", 0.1)
        return self._act(
            observation,
            policy_state,
            deterministic=deterministic,
            exploration_noise=exploration_noise,
            action_mask=action_mask,
        )


class AlgorithmAgent(Agent):
    """An agent of one algorithm.

    Args:
        env: An environment of ours or of Gymnasium (one or a vector), or its name.
        policy: What is before its heads: "mlp", "cnn", "recurrent", "liquid", the word for a record of your own, or a record
            such as `perdure.policy.CNNBody()`; or a policy, which is trained further.
        policy_settings: Of a fresh policy, such as `{"hidden_sizes": (256, 256)}`, see `new_policy`.
        seed: Of everything random; by default drawn from numpy's global generator.
        device: A name such as "cpu" or "gpu:1".
        settings: Of the algorithm, by name.

    Raises: TypeError for a setting that the algorithm does not have, ValueError for one that it refuses.
    """

    algorithm_class: ClassVar[type[AbstractAlgorithm]]

    def __init__(
        self,
        env: object,
        *,
        policy: str | AbstractBodyRecord | AbstractPolicy = "mlp",
        policy_settings: Mapping[str, Any] | None = None,
        seed: int | None = None,
        device: str | jax.Device | None = None,
        **settings: Any,
    ):
        given = env
        known = inspect.signature(type(self)).parameters
        for name, value in settings.items():
            if name not in known:
                raise TypeError(unknown_setting(type(self).__name__, name, value, known))
        algorithm = self.algorithm_class(**settings)
        env = as_env(env, num_envs=algorithm.num_envs)
        if isinstance(env, HostEnv):
            given = env  # `train` gives the algorithm as many environments as there are
        seed = int(np.random.randint(2**31)) if seed is None else seed
        if not isinstance(policy, AbstractPolicy):
            key = jr.fold_in(jr.key(seed), 1)
            policy = new_policy(self.algorithm_class, policy, env, key=key, **(policy_settings or {}))
        super().__init__(algorithm, policy, env=given, seed=seed, device=device)

    def __reduce__(self) -> tuple[Any, ...]:
        """By its algorithm, from which another process makes the same class anew."""
        cls = type(self)
        if cls is agent_class(cls.algorithm_class):
            return _blank, (cls.algorithm_class,), self.__getstate__()
        return _blank_of, (cls,), self.__getstate__()


def _blank_of(cls: type[AlgorithmAgent]) -> AlgorithmAgent:
    """For a pickle, which sets its state."""
    return cls.__new__(cls)


def _blank(algorithm: type[AbstractAlgorithm]) -> AlgorithmAgent:
    return _blank_of(agent_class(algorithm))


@functools.cache
def agent_class(algorithm: type[AbstractAlgorithm]) -> type[AlgorithmAgent]:
    """The agent of an algorithm, one of your own as well: `agent_class(MyPPO)("CartPole-v1").train()`.

    Its signature and its docstring name the settings of the algorithm.
    """
    first, _, _ = (algorithm.__doc__ or "").strip().partition("\n")
    usual = inspect.cleandoc(AlgorithmAgent.__doc__ or "").partition("\n")[2]
    where = "perdure.algorithm" if hasattr(algorithm, "__module__") and is_ours(algorithm) else algorithm.__module__
    doc = f"An agent of `{where}.{algorithm.__name__}`: {first[:1].lower()}{first[1:]}\n{usual}"
    members = {
        "__doc__": doc,
        "__module__": "perdure.models",
        "__signature__": signature_of(algorithm),
        "algorithm_class": algorithm,
    }
    return type(algorithm.__name__, (AlgorithmAgent,), members)


def is_ours(algorithm: type[AbstractAlgorithm]) -> bool:
    return algorithm.__module__.startswith("perdure.algorithm.")


def signature_of(algorithm: type[AbstractAlgorithm]) -> inspect.Signature:
    """What the agent of an algorithm is constructed from: the parameters of every agent, then the algorithm's settings."""
    parameters = inspect.signature(AlgorithmAgent).parameters.values()
    usual = [one for one in parameters if one.kind is not inspect.Parameter.VAR_KEYWORD]
    hints = get_type_hints(algorithm)  # without rules
    settings = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(algorithm)
        if field.init
    ]
    return inspect.Signature([*usual, *settings])
