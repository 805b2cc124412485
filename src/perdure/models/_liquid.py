"""Liquid agents by the sizes of their network, as in Velora: no environment is needed before training.

Cells and wiring: see `perdure.network.Liquid` (Hasani et al. 2022, doi:10.1038/s42256-022-00556-7; Lechner et al. 2020,
doi:10.1038/s42256-020-00237-3).
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

import jax
import numpy as np
import optax
from jax import random as jr
from jaxtyping import PyTree

import perdure.algorithm
from perdure._core import check_counts
from perdure.algorithm import AbstractAlgorithm
from perdure.callback import AbstractCallback, ConsoleTable, ProgressBar
from perdure.policy import AbstractPolicy, HasSpaces, spaces_of
from perdure.space import AbstractSpace, Box

from ._base import AbstractAgent
from ._new_policy import new_policy

Self = TypeVar("Self", bound="LiquidAgent")


@dataclasses.dataclass(frozen=True)
class Spaces:
    observation_space: AbstractSpace
    action_space: AbstractSpace


def new_liquid_policy(
    algorithm: type[AbstractAlgorithm], seed: int, n_neurons: int, action_dim: int, env: HasSpaces
) -> AbstractPolicy:
    key = jr.fold_in(jr.key(seed), 1)
    return new_policy(algorithm, "liquid", env, key=key, num_neurons=n_neurons, num_motor=action_dim)


class LiquidPolicies:
    """Makes the liquid policy of an agent: for spaces of the sizes it was made with, or for those of an environment."""

    def __init__(self, agent: str, new: Callable[[HasSpaces], AbstractPolicy], spaces: Spaces):
        self.agent, self.new, self.spaces = agent, new, spaces
        self.newest: AbstractPolicy | None = None

    def __call__(self, env: HasSpaces | None) -> AbstractPolicy:
        """A fresh policy for `env`, bounds and all; for None the newest one.

        Raises: ValueError if the sizes are others.
        """
        wanted = self.spaces if env is None else Spaces(*spaces_of(env))
        if self.newest is None or (env is not None and Spaces(*spaces_of(self.newest)) != wanted):
            ours, theirs = (self.sizes(spaces) for spaces in (self.spaces, wanted))
            if ours != theirs:
                raise ValueError(
                    f"{self.agent} is for state_dim={ours[0]} and action_dim={ours[1]}, but {getattr(env, 'name', env)} has "
                    f"{theirs[0]} and {theirs[1]}. Make it with these numbers."
                )
            self.newest = self.new(wanted)
        return self.newest

    @staticmethod
    def sizes(spaces: Spaces) -> tuple[int, int]:
        return spaces.observation_space.flat_size, spaces.action_space.flat_size


class LiquidAgent(AbstractAgent):
    """Observations are `state_dim` numbers, actions `action_dim` numbers in [-1, 1]. The words are Velora's.

    The action of an environment with other bounds is scaled to them when `train` first sees it.
    """

    algorithm_class: ClassVar[type[AbstractAlgorithm]]

    def __init__(
        self,
        algorithm: AbstractAlgorithm,
        *,
        state_dim: int,
        n_neurons: int,
        action_dim: int,
        device: str | jax.Device | None,
        seed: int | None,
    ):
        for name, value in (("state_dim", state_dim), ("n_neurons", n_neurons), ("action_dim", action_dim)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r}, but it must be a whole number of at least 1.")
        seed = int(np.random.randint(2**31)) if seed is None else seed

        new = functools.partial(new_liquid_policy, type(algorithm), seed, n_neurons, action_dim)
        spaces = Spaces(Box(-np.inf, np.inf, (state_dim,)), Box(-1, 1, (action_dim,)))
        super().__init__(algorithm, LiquidPolicies(type(self).__name__, new, spaces), seed=seed, device=device)

    def train(
        self: Self,
        env: object = None,
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
        fresh: bool = False,
    ) -> Self:
        """Train for `n_episodes`, or for `total_timesteps` environment steps if that is given, and return itself.

        As `Agent.train`, with other words.

        Args:
            env: An environment of ours or of Gymnasium (one or a vector), or its name.
            batch_size: Steps in one update; on-policy, in one minibatch: the rollout is as long as `num_minibatches` of them.
            n_episodes: Episodes to end, all environments together.
            total_timesteps: Environment steps, in place of `n_episodes`.
            callbacks: Besides the table, or the progress bar where `total_timesteps` is given; `()` for silence.
            display_count: Episodes between two rows of the table.
            window_size: Episodes in the table's mean return.
            max_steps: Steps at which an episode is truncated.
            noise_scale: `exploration_noise` of the algorithm.
            gamma: `discount` of the algorithm.
            tau: `tau` of the algorithm.
            fresh: Begin a new training of the policy as it is.

        Raises: ValueError for settings that the algorithm does not have or refuses, or without any environment.
        """
        check_counts(n_episodes=n_episodes, max_steps=max_steps, total_timesteps=total_timesteps, batch_size=batch_size)
        if callbacks is None or len(callbacks):
            shown = ConsoleTable(display_count=display_count, window_size=window_size)
            callbacks = [ProgressBar() if total_timesteps else shown, *(callbacks or ())]
        settings = {"exploration_noise": noise_scale, "discount": gamma, "tau": tau}
        return self._train(
            env,
            batch_size,
            num_episodes=n_episodes,
            total_timesteps=total_timesteps,
            callbacks=callbacks,
            max_episode_steps=max_steps,
            settings={name: value for name, value in settings.items() if value is not None},
            fresh=fresh,
        )

    def predict(
        self, state: object, hidden: PyTree = None, *, noise_scale: float = 0.1, train_mode: bool = False
    ) -> tuple[PyTree, PyTree]:
        """`(action, hidden)` for one observation (`state`), or for a batch with one leading axis.

        `hidden` is what the call before gave; None at the start of an episode. The best action, or with `train_mode` an
        exploring one, see `Agent.predict`.
        """
        return self._act(state, hidden, deterministic=not train_mode, exploration_noise=noise_scale, action_mask=None)


def name_of_optimizer(optim: str | Callable[..., optax.GradientTransformation]) -> str:
    """The name of an optimiser of optax, given by name or as the function itself."""
    return optim if isinstance(optim, str) else getattr(optim, "__name__", str(optim))


class LiquidDDPG(LiquidAgent):
    """`perdure.algorithm.DDPG` with a liquid actor and critic.

    Args:
        state_dim: Numbers in an observation.
        n_neurons: Inter and command neurons.
        action_dim: Numbers in an action; as many motor neurons.
        optim: Optimiser: a function of optax such as `optax.adam`, or its name.
        buffer_size: Transitions kept.
        actor_lr: Learning rate of the actor.
        critic_lr: Learning rate of the critic.
        device: A name such as "cpu" or "gpu:1", or what `perdure.utils.set_device` gave.
        seed: Of everything random; by default drawn from numpy's global generator.

    Raises: ValueError for sizes below 1, an unknown optimiser or a learning rate that is not positive.
    """

    algorithm_class = perdure.algorithm.DDPG

    def __init__(
        self,
        state_dim: int,
        n_neurons: int,
        action_dim: int,
        *,
        optim: str | Callable[..., optax.GradientTransformation] = "adam",
        buffer_size: int = 100_000,
        actor_lr: float = 1e-4,
        critic_lr: float = 1e-3,
        device: str | jax.Device | None = None,
        seed: int | None = None,
    ):
        algorithm = perdure.algorithm.DDPG(
            learning_rate=actor_lr,
            critic_learning_rate=critic_lr,
            optimizer_name=name_of_optimizer(optim),
            capacity=buffer_size,
            learning_starts=min(128, buffer_size),
            batch_size=128,
            exploration_noise=0.3,
        )
        sizes = {"state_dim": state_dim, "n_neurons": n_neurons, "action_dim": action_dim}
        super().__init__(algorithm, **sizes, device=device, seed=seed)


class LiquidSAC(LiquidAgent):
    """`perdure.algorithm.SAC` with a liquid actor and critics; arguments as for `LiquidDDPG`."""

    algorithm_class = perdure.algorithm.SAC

    def __init__(
        self,
        state_dim: int,
        n_neurons: int,
        action_dim: int,
        *,
        optim: str | Callable[..., optax.GradientTransformation] = "adam",
        buffer_size: int = 100_000,
        actor_lr: float = 3e-4,
        critic_lr: float = 3e-4,
        device: str | jax.Device | None = None,
        seed: int | None = None,
    ):
        algorithm = perdure.algorithm.SAC(
            learning_rate=actor_lr,
            critic_learning_rate=critic_lr,
            optimizer_name=name_of_optimizer(optim),
            capacity=buffer_size,
            learning_starts=min(128, buffer_size),
            batch_size=128,
        )
        sizes = {"state_dim": state_dim, "n_neurons": n_neurons, "action_dim": action_dim}
        super().__init__(algorithm, **sizes, device=device, seed=seed)


class LiquidPPO(LiquidAgent):
    """`perdure.algorithm.PPO` with liquid cells; one learning rate `lr`, other arguments as for `LiquidDDPG`."""

    algorithm_class = perdure.algorithm.PPO

    def __init__(
        self,
        state_dim: int,
        n_neurons: int,
        action_dim: int,
        *,
        optim: str | Callable[..., optax.GradientTransformation] = "adam",
        lr: float = 3e-4,
        device: str | jax.Device | None = None,
        seed: int | None = None,
    ):
        algorithm = perdure.algorithm.PPO(learning_rate=lr, optimizer_name=name_of_optimizer(optim), num_minibatches=1)
        sizes = {"state_dim": state_dim, "n_neurons": n_neurons, "action_dim": action_dim}
        super().__init__(algorithm, **sizes, device=device, seed=seed)
