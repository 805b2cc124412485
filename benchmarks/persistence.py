"""How fast policies and training states go to disk and come back, side by side with their peers, in one run.

    python benchmarks/persistence.py    # needs: pip install -e ".[benchmark]"

All take turns, round after round, on the same arrays; the median round counts. Perdure syncs what it writes to the disk, the
others do not (Orbax does in part), so its times are given with and without.
"""

import itertools
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as orbax
import safetensors.flax
import stable_baselines3
import torch
from jax import random as jr
from rich.console import Console
from rich.progress import track
from rich.table import Table

from perdure._core import leaf_to_numpy, leaves_with_paths
from perdure.algorithm import DQN, PPO
from perdure.callback import AbstractCallback
from perdure.checkpoint import SaveCheckpoints, load, load_policy, load_policy_of, save, save_policy
from perdure.env.classic_control import CartPole
from perdure.policy import MLPActorCriticPolicy, MLPQPolicy

PLACE = Path(tempfile.mkdtemp(prefix="perdure-persistence-"))
Actions = dict[str, Callable[[], Any]]


def median_seconds(actions: Actions, rounds: int, title: str) -> dict[str, float]:
    """Seconds of each, the median over rounds in which they take turns; the first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in track(range(rounds + 1), title):
        for name, action in actions.items():
            began = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def unsynced(action: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> None:
        with mock.patch("os.fsync", return_value=None):
            action()

    return run


def print_times(title: str, seconds: dict[str, float], base: str) -> None:
    table = Table(title=title)
    for column in ("", "milliseconds", f"times {base}"):
        table.add_column(column, justify="left" if not column else "right")
    for name, value in seconds.items():
        table.add_row(name, f"{value * 1e3:.2f}", f"{value / seconds[base]:.2f}")
    Console().print(table)


def arrays_of(tree: Any) -> dict[str, jax.Array]:
    return {path: jnp.asarray(leaf_to_numpy(leaf)) for path, leaf in leaves_with_paths(tree)}


def policy_file() -> None:
    policy = MLPActorCriticPolicy(CartPole(), hidden_sizes=(64, 64), key=jr.key(0))
    arrays = arrays_of(policy)
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    sb3: Any = stable_baselines3.PPO("MlpPolicy", "CartPole-v1").policy
    checkpointer, numbers = orbax.PyTreeCheckpointer(), itertools.count()
    saving: Actions = {
        "Perdure save_policy": lambda: save_policy(PLACE / "policy", policy),
        "the same, not synced": unsynced(lambda: save_policy(PLACE / "policy", policy)),
        "the same, where no file is replaced": unsynced(lambda: save_policy(PLACE / f"policy-{next(numbers)}", policy)),
        "Perdure .eqx": lambda: policy.serialize(PLACE / "own"),
        "safetensors": lambda: safetensors.flax.save_file(arrays, PLACE / "raw.safetensors"),
        "Equinox": lambda: eqx.tree_serialise_leaves(PLACE / "plain.eqx", policy),
        "torch.save": lambda: torch.save(tensors, PLACE / "policy.pt"),
        "SB3 policy.save": lambda: sb3.save(PLACE / "sb3.pt"),
        "Orbax": lambda: checkpointer.save(PLACE / "orbax", arrays, force=True),
    }
    print_times("save a policy of 64x64", median_seconds(saving, 30, "saving a policy"), "safetensors")
    loading: Actions = {
        "Perdure load_policy": lambda: load_policy(PLACE / "policy"),
        "Perdure .eqx": lambda: MLPActorCriticPolicy.deserialize(
            PLACE / "own", CartPole(), hidden_sizes=(64, 64), key=jr.key(0)
        ),
        "safetensors": lambda: safetensors.flax.load_file(PLACE / "raw.safetensors"),
        "Equinox": lambda: eqx.tree_deserialise_leaves(PLACE / "plain.eqx", policy),
        "torch.load": lambda: torch.load(PLACE / "policy.pt"),
        "Orbax": lambda: checkpointer.restore(PLACE / "orbax"),
    }
    print_times("load a policy of 64x64", median_seconds(loading, 30, "loading a policy"), "safetensors")


def whole_state() -> None:
    env, algorithm = CartPole(), PPO()
    state = algorithm.init(env, MLPActorCriticPolicy(env, hidden_sizes=(64, 64), key=jr.key(0)), key=jr.key(1))
    arrays = arrays_of(state)
    sb3, checkpointer = stable_baselines3.PPO("MlpPolicy", "CartPole-v1"), orbax.PyTreeCheckpointer()
    saving: Actions = {
        "Perdure": lambda: save(PLACE / "state", algorithm, state, force=True),
        "the same, not synced": unsynced(lambda: save(PLACE / "state", algorithm, state, force=True)),
        "Orbax": lambda: checkpointer.save(PLACE / "orbax-state", arrays, force=True),
        "SB3": lambda: sb3.save(PLACE / "sb3.zip"),
    }
    print_times("save the state of PPO, 64x64", median_seconds(saving, 20, "saving a state"), "Orbax")
    loading: Actions = {
        "Perdure": lambda: load(PLACE / "state"),
        "Perdure, the policy alone": lambda: load_policy_of(PLACE / "state"),
        "Orbax": lambda: checkpointer.restore(PLACE / "orbax-state"),
        "SB3": lambda: stable_baselines3.PPO.load(PLACE / "sb3.zip"),
    }
    print_times("load the state of PPO, 64x64", median_seconds(loading, 10, "loading a state"), "Orbax")


def large_buffer() -> None:
    env = CartPole()
    algorithm = DQN(num_envs=1, capacity=4_350_000, learning_starts=1000)
    state = algorithm.init(env, MLPQPolicy(env, hidden_sizes=(64, 64), key=jr.key(0)), key=jr.key(1))
    noise = jax.tree.map(
        lambda x: jnp.asarray(np.random.default_rng(0).integers(0, 2, x.shape)).astype(x.dtype), state.buffer.data
    )
    state = eqx.tree_at(lambda s: s.buffer.data, state, noise)
    save(PLACE / "large", algorithm, state, buffer=True, force=True)
    content = b"".join(path.read_bytes() for path in sorted((PLACE / "large").iterdir()))
    arrays, checkpointer = arrays_of(state), orbax.PyTreeCheckpointer()
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}

    def raw() -> None:
        with open(PLACE / "raw", "wb", buffering=0) as file:
            file.write(content)
            os.fsync(file.fileno())

    def torch_save() -> None:
        with open(PLACE / "large.pt", "wb") as file:
            torch.save(tensors, file)
            file.flush()
            os.fsync(file.fileno())

    saving: Actions = {
        "Perdure, SHA-256 and synced": lambda: save(PLACE / "large", algorithm, state, buffer=True, force=True),
        "raw write, synced": raw,
        "torch.save, synced": torch_save,
        "Orbax": lambda: checkpointer.save(PLACE / "orbax-large", arrays, force=True),
    }
    title = f"save a state with a replay buffer, {len(content) / 1e6:.0f} MB"
    print_times(title, median_seconds(saving, 7, "saving a buffer"), "raw write, synced")
    before = bytes_read()
    load_policy_of(PLACE / "large")
    read = bytes_read() - before
    loading: Actions = {
        "all of it, SHA-256 checked": lambda: load(PLACE / "large", buffer=True),
        f"the policy alone ({read:,} bytes read)": lambda: load_policy_of(PLACE / "large"),
    }
    print_times("load from it", median_seconds(loading, 3, "loading a buffer"), "all of it, SHA-256 checked")


def bytes_read() -> int:
    """What this process has asked the system to read so far; the buffer is mapped, and a mapping shows as resident pages."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["rchar"])


class EverySecond(AbstractCallback):
    """Tells `SaveCheckpoints` of a chunk once a second."""

    def __init__(self, saver: SaveCheckpoints | None):
        self.saver, self.saves = saver, 0

    def on_start(self, record: Any) -> None:
        self.last = time.perf_counter()
        if self.saver:
            self.saver.on_start(record)

    def on_chunk(self, record: Any) -> bool:
        if time.perf_counter() - self.last >= 1:
            self.last += 1
            if self.saver:
                self.saves += 1
                self.saver.on_chunk(record)
        return False

    def on_end(self, record: Any) -> None:
        if self.saver:
            self.saver.on_end(record)


def while_training() -> None:
    env, algorithm = CartPole(), PPO()
    state = algorithm.init(env, MLPActorCriticPolicy(env, hidden_sizes=(64, 64), key=jr.key(0)), key=jr.key(1))
    algorithm.run(state, 100_000)
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    saves = 0
    for number in track(range(6), "training"):
        for name in seconds:
            saver = SaveCheckpoints(f"saves-{number}", keep_last=2, directory=PLACE) if name == "with" else None
            callback = EverySecond(saver)
            began = time.perf_counter()
            algorithm.run(state, 400_000, callbacks=[callback])
            seconds[name].append(time.perf_counter() - began)
            saves += callback.saves
    named = {f"{name} checkpoints": statistics.median(values) for name, values in seconds.items()}
    print_times(f"train PPO 64x64 for 400,000 steps ({saves / 6:.1f} checkpoints each)", named, "without checkpoints")


if __name__ == "__main__":
    try:
        policy_file()
        whole_state()
        large_buffer()
        while_training()
    finally:
        shutil.rmtree(PLACE)
