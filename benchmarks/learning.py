"""What every algorithm learns: the final return of ten seeds, beside Stable-Baselines3 with the same settings and steps.

    python benchmarks/learning.py                         # all of it: about two hours on one core
    python benchmarks/learning.py "SAC, Pendulum-v1"      # these rows only
    python benchmarks/learning.py --side sb3              # that half only; the other one from an earlier run
    python benchmarks/learning.py --table                 # print what is done

The return of a seed is the mean over 20 episodes with the best actions. IQM is the interquartile mean over seeds (Agarwal
et al. 2021, arXiv:2108.13264). What is done is kept in `benchmarks/learning.jsonl`, with the commit it was done at, and not
done again: delete lines to repeat them. `-` is what a peer lacks, or what is not done yet.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import rich.box
from catch import Catch
from jax import random as jr
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import trim_mean

from perdure.algorithm import A2C, DDPG, DQN, PPO, QRDQN, REINFORCE, SAC, TD3, TQC, DiscreteSAC
from perdure.env import TransformObservation, make
from perdure.evaluation import evaluate
from perdure.policy import (
    CNNActorCriticPolicy,
    Convolutions,
    LiquidActorCriticPolicy,
    MLPActorCriticPolicy,
    MLPDeterministicPolicy,
    MLPQPolicy,
    MLPQuantileQPolicy,
    MLPSACPolicy,
    RecurrentActorCriticPolicy,
)
from perdure.space import Box

RESULTS = Path(__file__).parent / "learning.jsonl"
SEEDS = {"perdure": 10, "sb3": 3}


@dataclasses.dataclass(frozen=True)
class Case:
    """One row: our settings, and the same ones in the peer's words."""

    name: str
    env: Any
    algorithm: Any
    policy: Callable[..., Any]
    policy_settings: dict[str, Any]
    steps: int
    target: float
    at_most: bool = False  # the target is one to stay below
    sb3: dict[str, Any] | None = None

    def train(self, seed: int) -> dict[str, float]:
        """One training of ours."""
        key_policy, key_learn, key_evaluate = jr.split(jr.key(seed), 3)
        policy = self.policy(self.env, **self.policy_settings, key=key_policy)
        began = time.perf_counter()
        total = {"total_timesteps": self.steps, "callbacks": ()}
        policy = self.algorithm.learn(self.env, policy, **total, key=key_learn)
        jax.block_until_ready(jax.tree.leaves(policy))
        seconds = time.perf_counter() - began
        mean = float(evaluate(policy, self.env, num_episodes=20, key=key_evaluate).mean())
        return {"return": mean, "seconds": seconds}

    def train_sb3(self, seed: int) -> dict[str, float]:
        """One training of Stable-Baselines3, in a process of its own."""
        asked = {"env": self.name.split(", ")[1], "steps": self.steps, "seed": seed, **(self.sb3 or {})}
        script = str(Path(__file__).parent / "peers" / "learn_sb3.py")
        done = subprocess.run([sys.executable, script, json.dumps(asked)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{self.name}: {done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])


CARTPOLE, ACROBOT, PENDULUM = make("CartPole-v1"), make("Acrobot-v1"), make("Pendulum-v1")
CAR = make("MountainCarContinuous-v0")
HIDDEN = TransformObservation(CARTPOLE, lambda x: x[jnp.array([0, 2])], Box(-np.inf, np.inf, (2,)))
WIDE = {"hidden_sizes": (256, 256), "activation": jax.nn.relu}
SMALL = {"hidden_sizes": (64, 64), "activation": jax.nn.relu}
TANH = {"hidden_sizes": (64, 64), "activation": jnp.tanh}


def sb3(algorithm: str, num_envs: int, activation: str, *, more: dict[str, Any] | None = None, **settings: Any) -> Any:
    """What `learn_sb3.py` is asked for; two hidden layers of 64."""
    policy_kwargs = {"net_arch": [64, 64], "activation_fn": activation, **settings.pop("policy_kwargs", {})}
    settings = {"policy_kwargs": policy_kwargs, **settings}
    return {"algorithm": algorithm, "num_envs": num_envs, "settings": settings, **(more or {})}


PPO_CARTPOLE = {"learning_rate": 1e-3, "num_envs": 8, "num_steps": 32, "num_epochs": 20, "num_minibatches": 1} | {
    "discount": 0.98,
    "gae_lambda": 0.8,
    "entropy_weight": 0.0,
    "value_weight": 1.0,  # of half the squared error, which SB3 does not halve
}
Q_CARTPOLE = {"learning_rate": 2.3e-3, "batch_size": 64, "capacity": 50_000, "learning_starts": 1_000} | {
    "num_envs": 1,
    "num_steps": 256,
    "num_updates": 128,
    "target_interval": 128,  # SB3 moves its target between rounds of updates only
    "epsilon_end": 0.04,
    "exploration_timesteps": 8_000,
}
Q_CARTPOLE_SB3 = {"learning_rate": 2.3e-3, "batch_size": 64, "buffer_size": 50_000, "learning_starts": 1_000} | {
    "train_freq": 256,
    "gradient_steps": 128,
    "target_update_interval": 10,
    "exploration_final_eps": 0.04,
    "exploration_fraction": 0.16,
}
DQN_CARTPOLE = {"learning_rate": 5e-4, "batch_size": 64, "capacity": 100_000, "learning_starts": 1_000} | {
    "num_envs": 1,
    "num_steps": 4,
    "num_updates": 2,
    "target_interval": 250,  # updates; SB3 counts steps
    "epsilon_end": 0.04,
    "exploration_timesteps": 16_000,
    "anneal_timesteps": 100_000,
}
DQN_CARTPOLE_SB3 = {"learning_rate": 5e-4, "batch_size": 64, "buffer_size": 100_000, "learning_starts": 1_000} | {
    "train_freq": 4,
    "gradient_steps": 2,
    "target_update_interval": 500,
    "exploration_final_eps": 0.04,
    "exploration_fraction": 0.16,
}
OFF = {"learning_rate": 1e-3, "batch_size": 256, "learning_starts": 1_000, "capacity": 20_000}
OFF_SB3 = {"learning_rate": 1e-3, "batch_size": 256, "learning_starts": 1_000, "buffer_size": 20_000}
NOISY_SB3 = OFF_SB3 | {"gamma": 0.98, "noise": 0.1, "train_freq": 1, "gradient_steps": 1}
MEMORY = PPO(
    learning_rate=1e-3,
    anneal_timesteps=300_000,
    anneal_clip=True,
    num_envs=16,
    num_steps=64,
    num_epochs=10,
    num_minibatches=4,
    discount=0.98,
    gae_lambda=0.9,
    entropy_weight=0.0,
    normalize_reward=True,
)
WITH_MEMORY = {"separate_critic": True, "normalize_observation": True}
SPREAD = -3.67 + 0.5 * np.log(64)  # SB3's log_std_init is that of one entry of the noise, ours that of the action

CASES = [
    Case(
        "PPO, CartPole-v1",
        CARTPOLE,
        PPO(**PPO_CARTPOLE, anneal_timesteps=100_000, anneal_clip=True),
        MLPActorCriticPolicy,
        TANH,
        100_000,
        475,
        sb3=sb3(
            "PPO",
            8,
            "Tanh",
            learning_rate=1e-3,
            n_steps=32,
            batch_size=256,
            n_epochs=20,
            clip_range=0.2,
            gamma=0.98,
            gae_lambda=0.8,
            ent_coef=0.0,
            more={"annealed": ["learning_rate", "clip_range"]},
        ),
    ),
    Case(
        "A2C, CartPole-v1",
        CARTPOLE,
        A2C(anneal_timesteps=250_000, value_weight=1.0, normalize_advantage=True),
        MLPActorCriticPolicy,
        TANH,
        250_000,
        475,
        sb3=sb3("A2C", 8, "Tanh", learning_rate=7e-4, normalize_advantage=True, more={"annealed": ["learning_rate"]}),
    ),
    Case(
        "DQN, CartPole-v1",
        CARTPOLE,
        DQN(**DQN_CARTPOLE, double=False),
        MLPQPolicy,
        WIDE,
        100_000,
        475,
        sb3=sb3(
            "DQN",
            1,
            "ReLU",
            **DQN_CARTPOLE_SB3,
            policy_kwargs={"net_arch": [256, 256]},
            more={"annealed": ["learning_rate"]},
        ),
    ),
    Case(
        "QRDQN, CartPole-v1",
        CARTPOLE,
        QRDQN(**Q_CARTPOLE),
        MLPQuantileQPolicy,
        WIDE | {"num_quantiles": 10},
        50_000,
        475,
        sb3=sb3("QRDQN", 1, "ReLU", **Q_CARTPOLE_SB3, policy_kwargs={"net_arch": [256, 256], "n_quantiles": 10}),
    ),
    Case(
        "PPO, Acrobot-v1",
        ACROBOT,
        PPO(
            learning_rate=3e-4,
            num_envs=16,
            num_steps=256,
            num_minibatches=64,
            gae_lambda=0.94,
            entropy_weight=0.0,
            value_weight=1.0,
            normalize_reward=True,
        ),
        MLPActorCriticPolicy,
        TANH | {"normalize_observation": True},
        200_000,
        -100,
        sb3=sb3("PPO", 16, "Tanh", n_steps=256, n_epochs=4, gae_lambda=0.94, gamma=0.99, more={"normalize": True}),
    ),
    Case(
        "DQN, Acrobot-v1",
        ACROBOT,
        DQN(
            learning_rate=6.3e-4,
            num_envs=1,
            num_steps=4,
            num_updates=4,
            batch_size=128,
            learning_starts=1_000,
            target_interval=250,
            epsilon_end=0.1,
            exploration_timesteps=12_000,
            double=False,
        ),
        MLPQPolicy,
        SMALL,
        100_000,
        -100,
        sb3=sb3(
            "DQN",
            1,
            "ReLU",
            learning_rate=6.3e-4,
            batch_size=128,
            buffer_size=50_000,
            learning_starts=1_000,
            target_update_interval=250,
            train_freq=4,
            gradient_steps=4,
            exploration_fraction=0.12,
            exploration_final_eps=0.1,
        ),
    ),
    Case(
        "DDPG, Pendulum-v1",
        PENDULUM,
        DDPG(**OFF, discount=0.98),
        MLPDeterministicPolicy,
        SMALL,
        20_000,
        -200,
        sb3=sb3("DDPG", 1, "ReLU", **NOISY_SB3),
    ),
    Case(
        "TD3, Pendulum-v1",
        PENDULUM,
        TD3(**OFF, discount=0.98),
        MLPDeterministicPolicy,
        SMALL,
        20_000,
        -200,
        sb3=sb3("TD3", 1, "ReLU", **NOISY_SB3),
    ),
    Case(
        "SAC, Pendulum-v1",
        PENDULUM,
        SAC(**OFF),
        MLPSACPolicy,
        SMALL,
        20_000,
        -200,
        sb3=sb3("SAC", 1, "ReLU", **OFF_SB3),
    ),
    Case(
        "TQC, Pendulum-v1",
        PENDULUM,
        TQC(**OFF),
        MLPSACPolicy,
        SMALL,
        20_000,
        -200,
        sb3=sb3("TQC", 1, "ReLU", **OFF_SB3),
    ),
    Case(
        "SAC, MountainCarContinuous-v0",
        CAR,
        SAC(
            learning_rate=3e-4,
            num_steps=32,
            num_updates=32,
            batch_size=512,
            capacity=50_000,
            learning_starts=0,
            discount=0.9999,
            tau=0.01,
            temperature=0.1,
        ),
        MLPSACPolicy,
        SMALL | {"gsde_interval": 32, "initial_log_std": float(SPREAD)},
        50_000,
        90,
        sb3=sb3(
            "SAC",
            1,
            "ReLU",
            learning_rate=3e-4,
            batch_size=512,
            buffer_size=50_000,
            learning_starts=0,
            gamma=0.9999,
            tau=0.01,
            ent_coef=0.1,
            train_freq=32,
            gradient_steps=32,
            use_sde=True,
            policy_kwargs={"log_std_init": -3.67},
        ),
    ),
    Case(
        "DiscreteSAC, CartPole-v1",
        CARTPOLE,
        DiscreteSAC(learning_rate=1e-3, batch_size=128, capacity=50_000, num_steps=4, num_updates=4),
        MLPSACPolicy,
        SMALL,
        50_000,
        400,
    ),
    Case("REINFORCE, CartPole-v1", CARTPOLE, REINFORCE(), MLPActorCriticPolicy, TANH, 300_000, 400),
    Case(
        "PPO with a GRU, CartPole without velocities",
        HIDDEN,
        MEMORY,
        RecurrentActorCriticPolicy,
        WITH_MEMORY | {"memory_size": 64, "trunk_sizes": (), "hidden_sizes": (64,)},
        300_000,
        450,
    ),
    Case(
        "PPO with liquid cells, CartPole without velocities",
        HIDDEN,
        MEMORY,
        LiquidActorCriticPolicy,
        WITH_MEMORY,
        300_000,
        450,
    ),
    Case(
        "PPO without a memory, CartPole without velocities",
        HIDDEN,
        MEMORY,
        MLPActorCriticPolicy,
        TANH | {"normalize_observation": True},
        300_000,
        200,
        at_most=True,
    ),
    Case(
        "PPO with convolutions, catch 12 x 12",
        Catch(),
        PPO(learning_rate=1e-3, num_envs=16, num_steps=32, num_epochs=10, anneal_timesteps=60_000),
        CNNActorCriticPolicy,
        {"convolutions": Convolutions(64, (16, 16), (3, 3), (2, 1))},
        60_000,
        0.95,
    ),
]


def results() -> dict[tuple[str, str], list[dict[str, float]]]:
    """What is done: the outcomes of one side of one row, by seed."""
    done: dict[tuple[str, str], list[dict[str, float]]] = {}
    for line in RESULTS.read_text().splitlines() if RESULTS.exists() else []:
        row = json.loads(line)
        done.setdefault((row["case"], row["side"]), []).append(row)
    return done


def commit() -> str:
    """Where the code stands."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=RESULTS.parent, capture_output=True, text=True, check=True).stdout.strip()


def fill_in(case: Case, side: str) -> None:
    """Train what seeds are missing, each kept as soon as it is done."""
    done = len(results().get((case.name, side), []))
    for seed in track(range(done, SEEDS[side]), f"{case.name}, {side}", disable=done >= SEEDS[side]):
        outcome = case.train(seed) if side == "perdure" else case.train_sb3(seed)
        with open(RESULTS, "a") as file:
            file.write(
                json.dumps({"case": case.name, "side": side, "seed": seed, "commit": commit(), **outcome}) + "\n"
            )


def verdict(case: Case, ours: np.ndarray, theirs: np.ndarray | None) -> str:
    """Whether the target was reached, and whether we are below the peer by more than our own spread."""
    iqm = trim_mean(ours, 0.25)
    reached = iqm <= case.target if case.at_most else iqm >= case.target
    words = "yes" if reached else "NO"
    if theirs is not None and iqm < trim_mean(theirs, 0.25) - ours.std():
        words += ", below SB3"
    return words


def print_table(cases: list[Case]) -> None:
    done, table = results(), Table(box=rich.box.MARKDOWN)
    columns = ("", "steps", "mean", "IQM", "std", "lowest", "s", "SB3 mean", "SB3 IQM", "SB3 s", "target", "reached")
    for column in columns:
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for case in cases:
        runs = {side: done.get((case.name, side)) for side in SEEDS}
        if not runs["perdure"]:
            continue
        ours = np.array([run["return"] for run in runs["perdure"]])
        theirs = np.array([run["return"] for run in runs["sb3"]]) if runs["sb3"] else None
        seconds = [f"{statistics.median(r['seconds'] for r in rs):,.1f}" if rs else "-" for rs in runs.values()]
        peer = ["-", "-"] if theirs is None else [f"{theirs.mean():.1f}", f"{trim_mean(theirs, 0.25):.1f}"]
        numbers = [f"{x:.1f}" for x in (ours.mean(), trim_mean(ours, 0.25), ours.std(), ours.min())]
        target = f"{'<=' if case.at_most else '>='} {case.target:g}"
        words = verdict(case, ours, theirs)
        fewer = (
            f" (SB3: {len(theirs)} of {SEEDS['sb3']} seeds)"
            if theirs is not None and len(theirs) < SEEDS["sb3"]
            else ""
        )
        table.add_row(case.name + fewer, f"{case.steps:,}", *numbers, seconds[0], *peer, seconds[1], target, words)
    Console(width=220).print(table)
    commits = sorted({run["commit"] for case in cases for run in done.get((case.name, "perdure"), [])})
    print(f"Ours at {', '.join(commits)}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="names of rows, or beginnings of them; all by default")
    parser.add_argument("--side", choices=list(SEEDS), help="train that side only")
    parser.add_argument("--table", action="store_true", help="print what is done, train nothing")
    parser.add_argument("--seeds", type=int, help="seeds of ours, 10 by default")
    asked = parser.parse_args()
    SEEDS["perdure"] = asked.seeds or SEEDS["perdure"]
    cases = [case for case in CASES if not asked.rows or case.name.startswith(tuple(asked.rows))]
    if not cases:
        raise SystemExit(f"no row is named {' or '.join(asked.rows)}; there are: {'; '.join(c.name for c in CASES)}")
    for case in () if asked.table else cases:
        for side in [asked.side] if asked.side else list(SEEDS):
            if side == "perdure" or case.sb3 is not None:
                fill_in(case, side)
    print_table(cases)


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    main()
