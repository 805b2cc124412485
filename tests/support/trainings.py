"""Small trainings of every algorithm that tests share, so that what one test has compiled is compiled for all."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr

from perdure.algorithm import A2C, DDPG, DQN, PPO, QRDQN, REINFORCE, SAC, TD3, TQC, DiscreteSAC
from perdure.callback import AbstractCallback
from perdure.env import make
from perdure.models import new_policy
from perdure.policy import MLPActorCriticPolicy, MLPQPolicy

CARTPOLE, PENDULUM = make("CartPole-v1"), make("Pendulum-v1")
ON_POLICY = {"num_envs": 2, "num_steps": 8}
OFF_POLICY = {"num_envs": 2, "num_steps": 3, "batch_size": 16, "capacity": 100, "learning_starts": 20}


class Training(NamedTuple):
    algorithm: Any
    kind: str = "mlp"  # of policy
    env: Any = CARTPOLE

    def policy(self, env: Any = None) -> Any:
        """A small one with a normaliser."""
        small = {"hidden_sizes": (8,), "normalize_observation": True}
        return new_policy(type(self.algorithm), self.kind, env or self.env, **small, key=jr.key(0))


TRAININGS = {
    "PPO": Training(PPO(**ON_POLICY, target_kl=0.01, normalize_reward=True)),
    "A2C": Training(A2C(**ON_POLICY)),
    "REINFORCE": Training(REINFORCE(**ON_POLICY)),
    "DQN": Training(DQN(**OFF_POLICY)),
    "DQN, prioritised": Training(DQN(**OFF_POLICY, n_step=3, priority_exponent=0.6, target_interval=3)),
    "QRDQN": Training(QRDQN(**OFF_POLICY)),
    "DDPG": Training(DDPG(**OFF_POLICY), env=PENDULUM),
    "TD3": Training(TD3(**OFF_POLICY, normalize_reward=True), env=PENDULUM),
    "SAC": Training(SAC(**OFF_POLICY), env=PENDULUM),
    "TQC": Training(TQC(**OFF_POLICY), env=PENDULUM),
    "DiscreteSAC": Training(DiscreteSAC(**OFF_POLICY)),
    "PPO, GRU": Training(PPO(**ON_POLICY, num_minibatches=2), "recurrent"),
    "PPO, liquid": Training(PPO(**ON_POLICY, num_minibatches=2), "liquid"),
    "DQN, GRU": Training(DQN(**OFF_POLICY, sequence_length=4, burn_in=2), "recurrent"),
}
MEMORIES = [name for name, training in TRAININGS.items() if training.kind != "mlp"]


def new(algorithm, policy, env=CARTPOLE, **settings):
    """An algorithm and a small policy with a normaliser."""
    return algorithm(**settings), policy(env, hidden_sizes=(8,), normalize_observation=True, key=jr.key(0))


def new_ppo(**settings):
    return new(PPO, MLPActorCriticPolicy, num_minibatches=2, **ON_POLICY, **settings)


def new_dqn(**settings):
    return new(DQN, MLPQPolicy, **OFF_POLICY, **settings)


def bits(state):
    """Every array of a training state as bytes, keys too."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)  # noqa: E731
    leaves = jax.tree.leaves(eqx.filter(state, eqx.is_array))
    return [np.asarray(jr.key_data(x) if is_key(x) else x).tobytes() for x in leaves]


class Recorder(AbstractCallback):
    """Keeps the steps and the metrics that it is told, and may stop a training."""

    def __init__(self, frequency=None, stop_at=None):
        self.frequency, self.stop_at, self.steps, self.events = frequency, stop_at, [], []

    def on_start(self, record):
        self.events.append("start")

    def on_chunk(self, record):
        self.steps.append(record.step)
        self.metrics = record.metrics
        return self.stop_at is not None and record.step >= self.stop_at

    def on_end(self, record):
        self.events.append("end")
