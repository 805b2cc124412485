"""An agent for each algorithm: `PPO("CartPole-v1").train(total_timesteps=100_000)`."""

from typing import Any, ClassVar

import numpy as np
from jax import random as jr

import perdure.algorithm
from perdure.algorithm import AbstractAlgorithm
from perdure.env.adapter import HostEnv
from perdure.policy import AbstractPolicy

from ._agent import Agent
from ._environment import as_env
from ._new_policy import new_policy


class AlgorithmAgent(Agent):
    """An agent of one algorithm.

    Args:
        env: An environment of ours or of Gymnasium (one or a vector), or its name.
        policy: "mlp", "cnn", "recurrent" or "liquid"; or a policy, which is trained further.
        policy_settings: Of the policy class, such as `{"hidden_sizes": (256, 256)}`.
        seed: Of everything random; by default drawn from numpy's global generator.
        device: A name such as "cpu" or "gpu:1".
        settings: Of the algorithm, by name.

    Raises: TypeError for a setting that the algorithm does not have, ValueError for one that it refuses.
    """

    algorithm_class: ClassVar[type[AbstractAlgorithm]]

    def __init__(
        self,
        env: Any,
        *,
        policy: str | AbstractPolicy = "mlp",
        policy_settings: dict[str, Any] | None = None,
        seed: int | None = None,
        device: Any = None,
        **settings: Any,
    ):
        given = env
        algorithm = self.algorithm_class(**settings)
        env = as_env(env, num_envs=algorithm.num_envs)
        if isinstance(env, HostEnv):
            given = env  # `train` gives the algorithm as many environments as there are
        seed = int(np.random.randint(2**31)) if seed is None else seed
        if isinstance(policy, str):
            key = jr.fold_in(jr.key(seed), 1)
            policy = new_policy(self.algorithm_class, policy, env, key=key, **(policy_settings or {}))
        super().__init__(algorithm, policy, env=given, seed=seed, device=device)


class PPO(AlgorithmAgent):
    """Proximal policy optimisation, see `perdure.algorithm.PPO`."""

    algorithm_class = perdure.algorithm.PPO


class A2C(AlgorithmAgent):
    """Advantage actor-critic, see `perdure.algorithm.A2C`."""

    algorithm_class = perdure.algorithm.A2C


class REINFORCE(AlgorithmAgent):
    """REINFORCE with a baseline, see `perdure.algorithm.REINFORCE`."""

    algorithm_class = perdure.algorithm.REINFORCE


class DQN(AlgorithmAgent):
    """Deep Q-learning, see `perdure.algorithm.DQN`."""

    algorithm_class = perdure.algorithm.DQN


class QRDQN(AlgorithmAgent):
    """Quantile-regression DQN, see `perdure.algorithm.QRDQN`."""

    algorithm_class = perdure.algorithm.QRDQN


class DDPG(AlgorithmAgent):
    """Deep deterministic policy gradient, see `perdure.algorithm.DDPG`."""

    algorithm_class = perdure.algorithm.DDPG


class TD3(AlgorithmAgent):
    """Twin delayed DDPG, see `perdure.algorithm.TD3`."""

    algorithm_class = perdure.algorithm.TD3


class SAC(AlgorithmAgent):
    """Soft actor-critic, see `perdure.algorithm.SAC`."""

    algorithm_class = perdure.algorithm.SAC


class TQC(AlgorithmAgent):
    """Truncated quantile critics, see `perdure.algorithm.TQC`."""

    algorithm_class = perdure.algorithm.TQC


class DiscreteSAC(AlgorithmAgent):
    """Soft actor-critic for discrete actions, see `perdure.algorithm.DiscreteSAC`."""

    algorithm_class = perdure.algorithm.DiscreteSAC
