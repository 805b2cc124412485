"""How fast training is, side by side with its peers, in one run on one core.

    python benchmarks/training.py            # needs: pip install -e ".[benchmark]"

Every peer is a process of its own, all pinned to one core. They take turns, round after round, and the best round of each
counts, so noise on the machine hits all alike. Seconds are CPU seconds of the process.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

PEERS = Path(__file__).parent / "peers"


class Peer:
    """One running peer."""

    def __init__(self, name: str):
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(PEERS / f"{name}.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.start = self.read()
        self.runs: list[dict[str, float]] = []

    def read(self) -> dict[str, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args[1]} ended: run it by hand to see why")
        return json.loads(line)

    def run(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        self.runs.append(self.read())

    def rates(self) -> list[float]:
        return [run["steps"] / run["seconds"] for run in self.runs]


def compare(names: list[str], rounds: int) -> dict[str, Peer]:
    """All peers, after `rounds` rounds in turn."""
    peers = {name: Peer(name) for name in track(names, "starting and compiling")}
    for _ in track(range(rounds), "training in turn"):
        for peer in peers.values():
            peer.run()
    return peers


def print_table(title: str, peers: dict[str, Peer], first: str) -> None:
    table = Table(title=title)
    for column in ("", "steps/s, best round", "median", f"{first} is", "compile s", "import s", "weights"):
        table.add_column(column, justify="right" if column else "left")
    best = {name: max(peer.rates()) for name, peer in peers.items()}
    for name, peer in peers.items():
        ratio = "" if name == first else f"{best[first] / best[name]:.2f}x"
        median = sorted(peer.rates())[len(peer.runs) // 2]
        start = peer.start
        row = (f"{best[name]:,.0f}", f"{median:,.0f}", ratio, f"{start['compile']:.1f}", f"{start['import']:.1f}")
        table.add_row(name, *row, f"{start['weights']:,}")
    Console().print(table)


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    title = "PPO on CartPole-v1: 4 environments x 128 steps, 4 epochs of 4 minibatches, 64x64 tanh, one core"
    print_table(title, compare(["perdure_ppo", "rejax_ppo", "sb3_ppo"], rounds), "perdure_ppo")
