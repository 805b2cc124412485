"""Liquid agents by the sizes of their network, as in Velora: no environment is needed before training.

Cells and wiring: see `perdure.network.Liquid` (Hasani et al. 2022, doi:10.1038/s42256-022-00556-7; Lechner et al. 2020,
doi:10.1038/s42256-020-00237-3).
"""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jax import random as jr

import perdure.algorithm
from perdure.algorithm import AbstractAlgorithm
from perdure.policy import spaces_of
from perdure.space import AbstractSpace, Box

from ._agent import Agent
from ._new_policy import new_policy


class Spaces(NamedTuple):
    observation_space: AbstractSpace
    action_space: AbstractSpace


class LiquidAgent(Agent):
    """Observations are `state_dim` numbers, actions `action_dim` numbers in [-1, 1].

    The action of an environment with other bounds is scaled to them when `train` first sees it.
    """

    algorithm_class: ClassVar[type[AbstractAlgorithm]]

    def _build(
        self,
        algorithm: AbstractAlgorithm,
        state_dim: int,
        n_neurons: int,
        action_dim: int,
        device: Any,
        seed: int | None,
        **policy_settings: Any,
    ) -> None:
        for name, value in (("state_dim", state_dim), ("n_neurons", n_neurons), ("action_dim", action_dim)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r}, but it must be a whole number of at least 1.")
        seed = int(np.random.randint(2**31)) if seed is None else seed
        self._new_policy = lambda env: new_policy(
            type(algorithm),
            "liquid",
            env,
            key=jr.fold_in(jr.key(seed), 1),
            num_neurons=n_neurons,
            num_motor=action_dim,
            **policy_settings,
        )
        self._spaces = Spaces(Box(-np.inf, np.inf, (state_dim,)), Box(-1, 1, (action_dim,)))
        Agent.__init__(self, algorithm, None, seed=seed, device=device)

    @property
    def policy(self) -> Any:
        if self._policy is None:
            self._policy = self._new_policy(self._spaces)
        return super().policy

    def _ready_env(self, env: Any, max_steps: int) -> Any:
        """Also gives a policy that has not learned anything yet the spaces of the environment: bounds and all."""
        ready = super()._ready_env(env, max_steps)
        if self.state is None and not self._is_for_spaces_of(ready):
            ours, theirs = ([space.flat_size for space in at] for at in (self._spaces, Spaces(*spaces_of(ready))))
            if ours != theirs:
                raise ValueError(
                    f"{type(self).__name__} is for state_dim={ours[0]} and action_dim={ours[1]}, but {ready.name} has "
                    f"{theirs[0]} and {theirs[1]}. Make it with these numbers."
                )
            self._policy = self._new_policy(ready)
        return ready

    def _is_for_spaces_of(self, env: Any) -> bool:
        return self._policy is not None and spaces_of(self._policy) == spaces_of(env)


def name_of_optimizer(optim: str | Callable[..., Any]) -> str:
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
        optim: str | Callable[..., Any] = "adam",
        buffer_size: int = 100_000,
        actor_lr: float = 1e-4,
        critic_lr: float = 1e-3,
        device: Any = None,
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
        self._build(algorithm, state_dim, n_neurons, action_dim, device, seed)


class LiquidSAC(LiquidAgent):
    """`perdure.algorithm.SAC` with a liquid actor and critics; arguments as for `LiquidDDPG`."""

    algorithm_class = perdure.algorithm.SAC

    def __init__(
        self,
        state_dim: int,
        n_neurons: int,
        action_dim: int,
        *,
        optim: str | Callable[..., Any] = "adam",
        buffer_size: int = 100_000,
        actor_lr: float = 3e-4,
        critic_lr: float = 3e-4,
        device: Any = None,
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
        self._build(algorithm, state_dim, n_neurons, action_dim, device, seed)


class LiquidPPO(LiquidAgent):
    """`perdure.algorithm.PPO` with liquid cells; one learning rate `lr`, other arguments as for `LiquidDDPG`."""

    algorithm_class = perdure.algorithm.PPO

    def __init__(
        self,
        state_dim: int,
        n_neurons: int,
        action_dim: int,
        *,
        optim: str | Callable[..., Any] = "adam",
        lr: float = 3e-4,
        device: Any = None,
        seed: int | None = None,
    ):
        algorithm = perdure.algorithm.PPO(learning_rate=lr, optimizer_name=name_of_optimizer(optim), num_minibatches=1)
        self._build(algorithm, state_dim, n_neurons, action_dim, device, seed)
