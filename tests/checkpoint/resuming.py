"""Trains every algorithm, and goes on from what another process has saved; run as a program by `test_resume.py`.

python resuming.py train FOLDER KIND...    runs to the end, saves on the way, prints digests of the end, and kills itself
python resuming.py resume FOLDER KIND...   loads what is there, runs to the end, prints the same digests
"""

import dataclasses
import hashlib
import json
import os
import signal
import sys
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import random as jr

from perdure._core import leaf_to_numpy, leaves_with_paths
from perdure.algorithm import A2C, DDPG, DQN, PPO, QRDQN, REINFORCE, SAC, TD3, TQC, DiscreteSAC
from perdure.callback import AbstractCallback
from perdure.checkpoint import load, save
from perdure.env.adapter import make_host
from perdure.env.classic_control import CartPole, Pendulum
from perdure.models import new_policy

NUM_ENVS = 2
ON = {"num_envs": NUM_ENVS, "num_steps": 4}
OFF = {"num_envs": NUM_ENVS, "num_steps": 2, "batch_size": 8, "capacity": 64, "learning_starts": 16}
ALGORITHMS = {
    "PPO": PPO(**ON, num_minibatches=2, normalize_reward=True),
    "A2C": A2C(**ON),
    "REINFORCE": REINFORCE(**ON),
    "DQN": DQN(**OFF, target_interval=3, n_step=2, priority_exponent=0.6),
    "QRDQN": QRDQN(**OFF),
    "DDPG": DDPG(**OFF),
    "TD3": TD3(**OFF),
    "SAC": SAC(**OFF),
    "TQC": TQC(**OFF),
    "DiscreteSAC": DiscreteSAC(**OFF),
}
CONTINUOUS = ("DDPG", "TD3", "SAC", "TQC")
HOSTS = {"classic": ("CartPole-v1", "Pendulum-v1"), "mujoco": (None, "InvertedPendulum-v5")}
ITERATIONS = 12
SPLITS = 20


def make(kind):
    """`(algorithm, environment, host environment or None, kind of policy)` of e.g. "SAC mujoco" or "PPO native recurrent"."""
    name, where, *more = kind.split()
    algorithm = ALGORITHMS[name]
    if more and name == "DQN":  # with a memory it learns from plain sequences
        algorithm = dataclasses.replace(algorithm, n_step=1, priority_exponent=0.0, sequence_length=3, burn_in=1)
    if where == "native":
        env, host = Pendulum() if name in CONTINUOUS else CartPole(), None
    else:
        env = host = make_host(HOSTS[where][name in CONTINUOUS], NUM_ENVS)
    return algorithm, env, host, more[0] if more else "mlp"


def digest(state, log):
    """Of all that there is of a training: every array by name, and the metrics since the start."""
    digest = hashlib.sha256(json.dumps(log, sort_keys=True).encode())
    for path, leaf in leaves_with_paths(state):
        digest.update(path.encode() + leaf_to_numpy(leaf).tobytes())
    return digest.hexdigest()


class Log(AbstractCallback):
    """Every metric of every iteration, as text that tells all bits."""

    def __init__(self, frequency):
        self.frequency, self.rows = frequency, []

    def on_chunk(self, record):
        self.rows.append([record.step, {name: value.hex() for name, value in record.metrics.items()}])
        return False


def run(algorithm, state, iterations, host):
    log = Log(algorithm.steps_per_iteration)
    return algorithm.run(state, iterations * algorithm.steps_per_iteration, callbacks=[log], env=host), log.rows


def train(folder, kind):
    algorithm, env, host, policy_kind = make(kind)
    policy = new_policy(type(algorithm), policy_kind, env, hidden_sizes=(8,), normalize_observation=True, key=jr.key(0))
    state, log = algorithm.init(env, policy, key=jr.key(1, impl="rbg" if "rbg" in kind else None)), []
    for at in range(1, ITERATIONS + 1):
        state, rows = run(algorithm, state, 1, host)
        log += rows
        save(
            folder / kind / str(at), algorithm, state, env=host, buffer=hasattr(state, "buffer"), metadata={"log": log}
        )
    return digest(state, log)


def resume(folder, kind):
    """From the middle in one go, and in three hops from the start; both must end the same."""
    middle, first = ITERATIONS // 2, 2
    ends = []
    for start, hops in ((middle, [ITERATIONS - middle]), (first, [3, 4, ITERATIONS - first - 7])):
        place = folder / kind / str(start)
        for hop, iterations in enumerate(hops):
            algorithm, _, host, _ = make(kind)
            buffer = (place / "buffer_state.safetensors").exists()
            found = load(place, buffer=buffer, env=host)
            assert found.algorithm == algorithm
            state, rows = run(found.algorithm, found.state, iterations, host)
            log = found.metadata["log"] + rows
            place = folder / kind / f"hop-{start}-{hop}"
            save(place, algorithm, state, env=host, buffer=buffer, metadata={"log": log})
        ends.append(digest(state, log))
    assert len(set(ends)) == 1, ends
    return ends[0]


if __name__ == "__main__":
    jax.config.update("jax_disable_most_optimizations", True)
    warnings.simplefilter("error")
    assert jnp.ones(1).dtype == jnp.float32
    action, folder, *kinds = sys.argv[1:]
    print(
        json.dumps({kind: {"train": train, "resume": resume}[action](Path(folder), kind) for kind in kinds}), flush=True
    )
    if action == "train":
        os.kill(os.getpid(), signal.SIGKILL)
