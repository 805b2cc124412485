"""A small training to call callbacks in, and one that keeps what it is told."""

from jax import random as jr

from perdure._core import leaf_to_numpy, leaves_with_paths
from perdure.algorithm import PPO
from perdure.callback import AbstractCallback
from perdure.env import TimeLimit
from perdure.env.classic_control import CartPole
from perdure.policy import MLPActorCriticPolicy

ENV = TimeLimit(CartPole(), 10)
ALGORITHM = PPO(num_envs=2, num_steps=10, num_minibatches=1, num_epochs=1)  # 20 steps an iteration


class Notes(AbstractCallback):
    """Keeps every record, the gravity in force with it, and the names of the hooks that were called."""

    def __init__(self, frequency=None):
        self.frequency, self.records, self.gravity, self.hooks = frequency, [], [], []

    def on_start(self, record):
        self.hooks.append("start")

    def on_chunk(self, record):
        self.records.append(record)
        env = record.state.env.unwrapped  # read now: training goes on in the state's memory
        self.gravity.append(float(env.gravity) if hasattr(env, "gravity") else None)
        return False

    def on_end(self, record):
        self.hooks.append("end")


def begin(env=ENV, algorithm=ALGORITHM):
    return algorithm.init(env, MLPActorCriticPolicy(env, hidden_sizes=(4,), key=jr.key(0)), key=jr.key(1))


def train(*callbacks, steps=200, state=None, env=None):
    """`steps` on CartPole with episodes of at most ten steps, or on from `state`, on `env` if that is a host environment."""
    return ALGORITHM.run(begin() if state is None else state, steps, callbacks=callbacks, env=env)


def bits(tree):
    return {path: leaf_to_numpy(leaf).tobytes() for path, leaf in leaves_with_paths(tree)}
