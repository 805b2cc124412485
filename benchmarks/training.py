"""How fast training is, side by side with its peers, in one run on one core.

    python benchmarks/training.py            # needs: pip install -e ".[benchmark]"
    python benchmarks/training.py sac dqn    # these parts only, of: ppo, solve, sac, dqn, host

Every peer is a process of its own, all pinned to one core. They take turns, round after round, and the best round of each
counts, so noise on the machine hits all alike. Seconds are CPU seconds, but for the time to solve, which is on the clock.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import rich.box
from rich.console import Console
from rich.progress import track
from rich.table import Table

PEERS = Path(__file__).parent / "peers"


class Peer:
    """One running peer."""

    def __init__(self, name: str):
        script, *arguments = name.split()
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(PEERS / f"{script}.py"), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.start = self.read()
        self.compile_seconds: list[float] = []
        self.rates: list[float] = []  # environment steps a CPU second

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args[1]} ended: run it by hand to see why")
        return json.loads(line)

    def ask(self, what: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self.read()

    def compile(self) -> None:
        self.compile_seconds.append(self.ask("compile")["seconds"])

    def run(self) -> None:
        answer = self.ask("run")
        self.rates.append(answer["steps"] / answer["seconds"])


def compare(programs: dict[str, str], rounds: int) -> dict[str, Peer]:
    """All peers, after three compilations and `rounds` rounds of training in turn; `programs` are their commands by name."""
    peers = {name: Peer(program) for name, program in track(programs.items(), "starting")}
    for _ in track(range(3), "compiling in turn"):
        for peer in peers.values():
            peer.compile()
    for _ in track(range(rounds), "training in turn"):
        for peer in peers.values():
            peer.run()
    return peers


def print_table(title: str, peers: dict[str, Peer], what: str = "steps/s") -> None:
    table = Table(box=rich.box.MARKDOWN)
    first = next(iter(peers))
    for column in ("", what, "median", "the first is", "compile s", "import s", "weights"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    best = {name: max(peer.rates) for name, peer in peers.items()}
    for name, peer in peers.items():
        ratio = "" if name == first else f"{best[first] / best[name]:.2f}x"
        speed = (f"{best[name]:,.0f}", f"{statistics.median(peer.rates):,.0f}", ratio)
        table.add_row(
            name,
            *speed,
            f"{min(peer.compile_seconds):.1f}",
            f"{peer.start['import']:.1f}",
            f"{peer.start['weights']:,}",
        )
    print_with_title(title, table)


def print_with_title(title: str, table: Table) -> None:
    console = Console(width=140)
    console.print(f"\n{title}")
    console.print(table)


def seconds_to_solve(script: str, *arguments: str) -> float:
    """Wall seconds of one process, from its start to a solved task."""
    began = time.perf_counter()
    command = [sys.executable, str(PEERS / script), *arguments]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "JAX_PLATFORMS": "cpu"})
    return time.perf_counter() - began


def print_solving(seeds: int) -> None:
    """Perdure with an empty compilation cache, with a warm one, and Stable-Baselines3, seed by seed in turn."""
    seconds: dict[str, list[float]] = {"perdure, cold": [], "perdure, cache warm": [], "Stable-Baselines3": []}
    for seed in track([str(s) for s in range(seeds)], "solving"):
        with tempfile.TemporaryDirectory() as cache:
            seconds["perdure, cold"].append(seconds_to_solve("solve_perdure.py", seed, cache))
            seconds["perdure, cache warm"].append(seconds_to_solve("solve_perdure.py", seed, cache))
        seconds["Stable-Baselines3"].append(seconds_to_solve("solve_sb3.py", seed))
    table = Table(box=rich.box.MARKDOWN)
    for column in ("", "median", "fastest", "slowest"):
        table.add_column(column, justify="right" if column else "left")
    for name, times in seconds.items():
        table.add_row(name, *(f"{x:.1f}" for x in (statistics.median(times), min(times), max(times))))
    print_with_title(
        f"Seconds from process start to a mean return of 475 on CartPole-v1, {seeds} seeds, one core", table
    )


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    parts = sys.argv[1:] or ["ppo", "solve", "sac", "dqn", "host"]
    if "ppo" in parts:
        title = "PPO on CartPole-v1: 4 environments x 128 steps, 4 epochs of 4 minibatches, 64x64 tanh, one core"
        peers = {"Perdure": "perdure_ppo", "rejax": "rejax_ppo", "Stable-Baselines3": "sb3_ppo"}
        print_table(title, compare(peers, 7))
    if "solve" in parts:
        print_solving(seeds=5)
    for name, widths in (("sac", (64, 256)), ("dqn", (64,))):
        for width in widths if name in parts else ():
            what = f"off_policy {name} {width}"
            peers = {
                "Perdure": f"perdure_{what} 20000",
                "Perdure, a buffer of 1,000,000": f"perdure_{what} 1000000",
                "rejax": f"rejax_{what} 20000",
                "SBX": f"sbx_{what} 20000",
            }
            title = f"{name.upper()}, two layers of {width}, batch 256, one update a step, a buffer of 20,000, one core"
            print_table(title, compare(peers, 5), "updates/s")
    if "host" in parts:
        for task, width in itertools.product(("Pendulum-v1", "InvertedPendulum-v5"), (64, 256)):
            peers = {"Perdure": f"perdure_host {task} {width}", "SBX": f"sbx_host {task} {width}"}
            title = f"SAC on Gymnasium's {task}: one environment, two layers of {width}, batch 256, one update a step, one core"
            print_table(title, compare(peers, 5))
