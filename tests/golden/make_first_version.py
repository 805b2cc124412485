"""Makes `first_version`: policies and trainings as the first version of Perdure wrote them. Run with that version, once.

    python tests/golden/make_first_version.py

Later versions must load them all, act as `expected.json` says, and go on training from them. They hold the twenty classes of
policies that there were, every learner, and optimisers as optax 0.2.8 had them. Never make them anew: a new kind of file gets
a generator and a folder of its own.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr

import perdure.policy
from perdure.algorithm import A2C, DDPG, DQN, PPO, QRDQN, SAC, TD3, TQC, DiscreteSAC
from perdure.checkpoint import save, save_policy
from perdure.env.classic_control import CartPole, Pendulum
from perdure.env.wrapper import FrameStack, NormalizeObservation, TimeLimit
from perdure.network import LeakyRelu
from perdure.policy import Convolutions
from perdure.space import Box, Dict, Discrete, MultiDiscrete

FOLDER = Path(__file__).parent / "first_version"
STEPS = 4
SPACES = {
    "vector": Box(-np.ones(3, np.float32), np.full(3, 2.0, np.float32)),
    "dict": Dict(eye=Box(0, 255, shape=(12, 12, 1), dtype=np.uint8), leg=Box([-1.0], [1.0])),
    "choice": Discrete(3, start=1),
    "choices": MultiDiscrete((2, 3)),
    "force": Box(np.array([-2.0, -0.5], np.float32), np.array([2.0, 1.0], np.float32)),
}
CONVOLUTIONS = Convolutions(features=6, channels=(2,), kernels=(4,), strides=(3,))
SMALL = {"hidden_sizes": (4,)}
# name -> observation, action, settings; the first part names the class
POLICIES = {
    "MLPActorCritic": ("vector", "force", {**SMALL, "normalize_observation": True}),
    "MLPActorCritic-shared": ("vector", "choices", {**SMALL, "shared": True, "activation": LeakyRelu(0.2)}),
    "MLPActorCritic-squash-gsde": ("vector", "force", {**SMALL, "squash": True, "gsde_interval": 4}),
    "CNNActorCritic": ("dict", "choice", {**SMALL, "convolutions": CONVOLUTIONS, "trunk_sizes": (3,)}),
    "RecurrentActorCritic": ("vector", "choice", {"cell": "lstm", "memory_size": 3, "separate_critic": True, **SMALL}),
    "LiquidActorCritic": ("vector", "force", {"num_neurons": 6, "num_motor": 2}),
    "MLPQ": ("vector", "choice", {**SMALL, "dueling": True, "epsilon": 0.2}),
    "CNNQ": ("dict", "choice", {**SMALL, "convolutions": CONVOLUTIONS}),
    "RecurrentQ": ("vector", "choice", {"cell": "gru", "memory_size": 3, **SMALL}),
    "LiquidQ": ("vector", "choice", {"num_neurons": 6, "num_motor": 2}),
    "MLPQuantileQ": ("vector", "choice", {**SMALL, "num_quantiles": 3}),
    "CNNQuantileQ": ("dict", "choice", {**SMALL, "convolutions": CONVOLUTIONS, "num_quantiles": 2}),
    "RecurrentQuantileQ": ("vector", "choice", {"memory_size": 3, **SMALL, "num_quantiles": 2}),
    "LiquidQuantileQ": ("vector", "choice", {"num_neurons": 6, "num_motor": 2, "num_quantiles": 2}),
    "MLPDeterministic": ("vector", "force", SMALL),
    "CNNDeterministic": ("dict", "force", {**SMALL, "convolutions": CONVOLUTIONS}),
    "RecurrentDeterministic": ("vector", "force", {"cell": "lstm", "memory_size": 3, **SMALL}),
    "LiquidDeterministic": ("vector", "force", {"num_neurons": 6, "num_motor": 2}),
    "MLPSAC": ("vector", "force", {**SMALL, "gsde_interval": 2}),
    "CNNSAC": ("dict", "choice", {**SMALL, "convolutions": CONVOLUTIONS}),
    "RecurrentSAC": ("vector", "force", {"memory_size": 3, **SMALL, "normalize_observation": True}),
    "LiquidSAC": ("vector", "force", {"num_neurons": 6, "num_motor": 2}),
}


class Spaces:
    def __init__(self, observation: str, action: str):
        self.observation_space, self.action_space = SPACES[observation], SPACES[action]


def unlike_zero(x: jax.Array) -> jax.Array:
    """Biases begin at zero, where a mistake would not be seen."""
    return x + 0.1 * jnp.sin(jnp.arange(x.size).reshape(x.shape) + 1.0) if x.dtype == jnp.float32 else x


def answers(policy) -> list:
    """Its actions on a few observations, one after the other."""
    state, actions = policy.reset(key=jr.key(0)), []
    for key in jr.split(jr.key(1), STEPS):
        state, action = policy(state, policy.observation_space.sample(key=key))
        actions.append(np.asarray(action).tolist())
    return actions


def trainings():
    """Name -> an algorithm, its environment, and its policy."""
    small, memory = {"num_envs": 2, "num_steps": 4, "num_minibatches": 2, "num_epochs": 2}, {"memory_size": 3, **SMALL}
    replay = {"num_envs": 2, "num_steps": 2, "batch_size": 4, "capacity": 16, "learning_starts": 8}
    sequences = {**replay, "num_steps": 4, "sequence_length": 3, "burn_in": 1, "capacity": 32, "learning_starts": 16}
    p, cart, pendulum = perdure.policy, CartPole(), Pendulum()
    wrapped = NormalizeObservation(FrameStack(TimeLimit(CartPole(), max_episode_steps=20), num_frames=2))
    return {
        "PPO": (PPO(**small, normalize_reward=True, anneal_timesteps=1000), wrapped, p.MLPActorCriticPolicy, SMALL),
        "PPO-lstm": (PPO(**small), cart, p.RecurrentActorCriticPolicy, {"cell": "lstm", **memory}),
        "A2C": (A2C(num_envs=2), pendulum, p.MLPActorCriticPolicy, {**SMALL, "normalize_observation": True}),
        "DQN": (DQN(**replay, priority_exponent=0.6, n_step=2), cart, p.MLPQPolicy, {**SMALL, "dueling": True}),
        "QRDQN": (QRDQN(**sequences, optimizer_name="lion"), cart, p.RecurrentQuantileQPolicy, memory),
        "DDPG": (DDPG(**replay, optimizer_name="rmsprop"), pendulum, p.MLPDeterministicPolicy, SMALL),
        "TD3": (TD3(**sequences, optimizer_name="adabelief"), pendulum, p.RecurrentDeterministicPolicy, memory),
        "SAC": (SAC(**replay, anneal_timesteps=1000), pendulum, p.MLPSACPolicy, {**SMALL, "gsde_interval": 2}),
        "TQC": (TQC(**replay), pendulum, p.MLPSACPolicy, {**SMALL, "normalize_observation": True}),
        "DiscreteSAC": (DiscreteSAC(**replay, optimizer_name="sgd"), cart, p.MLPSACPolicy, SMALL),
    }


if __name__ == "__main__":
    expected = {"policies": {}, "trainings": {}}
    for name, (observation, action, settings) in POLICIES.items():
        cls = getattr(perdure.policy, f"{name.split('-')[0]}Policy")
        policy = cls(Spaces(observation, action), **settings, key=jr.key(3))
        policy = jax.tree.map(unlike_zero, policy)
        save_policy(FOLDER / name, policy)
        policy.serialize(FOLDER / name)
        expected["policies"][name] = answers(policy)
    for name, (algorithm, env, cls, settings) in trainings().items():
        policy = cls(env, **settings, key=jr.key(0))
        state = algorithm.run(algorithm.init(env, policy, key=jr.key(1)), 4 * algorithm.steps_per_iteration)
        save(FOLDER / "trainings" / name, algorithm, state, buffer=hasattr(state, "buffer"))
        state = algorithm.run(state, 3 * algorithm.steps_per_iteration)
        expected["trainings"][name] = answers(state.policy)
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1))
