"""Trains every algorithm, and goes on from what another process has saved; run as a program by `test_resume.py`.

As `python -m tests.support.resuming` it takes
train FOLDER KIND...    runs to the end, saves on the way, prints digests of the end, and kills itself
resume FOLDER KIND...   loads what is there, runs to the end, prints the same digests
repeat SEED KIND...     runs to the end, prints digests of it; on the way cut, evaluated, saved, loaded where the seed says

All of it with XLA's usual optimisations, as for a user, and with learning rates that fall.
"""

import hashlib
import json
import os
import random
import signal
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import jax.numpy as jnp
from jax import random as jr

from perdure._core import leaf_to_numpy, leaves_with_paths
from perdure.algorithm import _drive
from perdure.callback import AbstractCallback, EvalCallback
from perdure.checkpoint import SaveCheckpoints, load, save
from perdure.env import TimeLimit
from perdure.env.adapter import make_host
from tests.support.trainings import PENDULUM, TRAININGS

HOSTS = {"classic": ("CartPole-v1", "Pendulum-v1"), "mujoco": (None, "InvertedPendulum-v5")}
ITERATIONS = 12
SPLITS = 20
REPEATED = 40
ANNEALED = 100_000  # environment steps; none of these trainings comes that far


def make(kind):
    """`(training, its environment, the same if it is a host's, else None)` of e.g. "SAC mujoco" or "PPO, GRU native"."""
    name, where = kind.rsplit(" ", 1)
    training = TRAININGS[name]
    training = training._replace(algorithm=replace(training.algorithm, anneal_timesteps=ANNEALED))
    if where == "native":
        return training, training.env, None
    host = make_host(HOSTS[where][training.env is PENDULUM], training.algorithm.num_envs)
    return training, host, host


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
    training, env, host = make(kind)
    algorithm = training.algorithm
    state, log = algorithm.init(env, training.policy(env), key=jr.key(1)), []
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
            training, _, host = make(kind)
            buffer = (place / "buffer_state.safetensors").exists()
            found = load(place, buffer=buffer, env=host)
            assert found.algorithm == training.algorithm
            state, rows = run(found.algorithm, found.state, iterations, host)
            log = found.metadata["log"] + rows
            place = folder / kind / f"hop-{start}-{hop}"
            save(place, found.algorithm, state, env=host, buffer=buffer, metadata={"log": log})
        ends.append(digest(state, log))
    assert len(set(ends)) == 1, ends
    return ends[0]


def watchers(cut, kind, folder):
    """Callbacks that cut chunks anywhere, save, and evaluate."""
    _, env, host = make(kind)
    some = [
        SaveCheckpoints("a", frequency=cut.randint(1, 99), buffer=cut.random() < 0.5, keep_last=1, directory=folder),
        EvalCallback(host or TimeLimit(env, 20), frequency=cut.randint(1, 99), num_episodes=2),
    ]
    return cut.sample(some, cut.randint(0, 2))


def repeat(seed, kind):
    """From the start in several runs, in chunks of any length, some of them saved and loaded; seed 0 does nothing of this."""
    training, env, host = make(kind)
    algorithm, cut = training.algorithm, random.Random(f"{seed} {kind}")
    state, left = algorithm.init(env, training.policy(env), key=jr.key(1)), REPEATED
    while left:
        iterations = cut.randint(1, left) if seed else left
        _drive.CHUNK_SECONDS = cut.choice([1e-9, 1e-3, 0.1]) if seed else 1e9
        with TemporaryDirectory() as folder:
            callbacks = watchers(cut, kind, folder) if seed else []
            steps = iterations * algorithm.steps_per_iteration
            state, left = algorithm.run(state, steps, callbacks=callbacks, env=host), left - iterations
            if seed and cut.random() < 0.5:
                buffer = hasattr(state, "buffer")
                save(Path(folder) / "b", algorithm, state, env=host, buffer=buffer)
                state = load(Path(folder) / "b", buffer=buffer, env=host).state
    return digest(state, [])


if __name__ == "__main__":
    action, argument, *kinds = sys.argv[1:]
    if action == "repeat":
        print(json.dumps({kind: repeat(int(argument), kind) for kind in kinds}), flush=True)
        sys.exit()
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "Error reading persistent compilation cache")  # of a process that was killed
    assert jnp.ones(1).dtype == jnp.float32
    do = {"train": train, "resume": resume}[action]
    print(json.dumps({kind: do(Path(argument), kind) for kind in kinds}), flush=True)
    if action == "train":
        os.kill(os.getpid(), signal.SIGKILL)
